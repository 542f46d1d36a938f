"""Shapes at a click or in a box: rules that do not even look at the image.

Radii were chosen on `train`.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]
"""XYXY, the end not inside."""

DISC = 0.07
"""Radius of the single disc, as a share of the image's longer side."""
DISCS = (0.03, DISC, 0.22)
"""Radii of the three discs, of which the best counts as `c1_best`."""


def disc(shape: tuple[int, ...], x: float, y: float, radius: float) -> Mask:
    """All pixels within `radius` (share of the longer side) of a click: H x W bool."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (cols - x) ** 2 <= (radius * max(shape)) ** 2


def rectangle(shape: tuple[int, ...], box: Box) -> Mask:
    """The box, filled."""
    mask = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(v) for v in box)
    mask[max(0, y0) : y1, max(0, x0) : x1] = True
    return mask


def ellipse(shape: tuple[int, ...], box: Box) -> Mask:
    """The ellipse that touches the box's sides, filled."""
    x0, y0, x1, y1 = box
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    a, b = max(x1 - x0, 1) / 2, max(y1 - y0, 1) / 2
    across = (cols + 0.5 - (x0 + x1) / 2) / a
    return across**2 + ((rows + 0.5 - (y0 + y1) / 2) / b) ** 2 <= 1
