"""Where the protocols click and which boxes they draw (SAM, appendix D.1, "Point locations")."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

BOX_NOISE = 0.1
"""Standard deviation of the noise of a jittered box, as a share of each side (SAM, appendix A)."""
BOX_NOISE_MOST = 20.0
"""Bound of that noise in pixels (SAM, appendix A)."""


def farthest_point(region: Mask) -> tuple[int, int, float]:
    """The (x, y) of a region that is farthest from its border, and how far that is, in pixels.

    region: H x W bool with at least one true pixel. The image's edge is a border, too. Where
    several pixels are equally far, the first in row order.
    """
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    top, left = int(rows[0]), int(cols[0])
    part = np.pad(region[top : rows[-1] + 1, left : cols[-1] + 1], 1).astype(np.uint8)
    distance = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = divmod(int(distance.argmax()), part.shape[1])
    return x - 1 + left, y - 1 + top, float(distance[y, x])


def next_click(predicted: Mask, truth: Mask) -> tuple[int, int, int]:
    """The (x, y, label) of the next click: the point of the error farthest from the error's border.

    predicted, truth: H x W bool. Label 1 where the mask was missed, 0 where it was exceeded. A
    perfect prediction gets the truth's own farthest point again.
    """
    missed, excess = truth & ~predicted, predicted & ~truth
    clicks = [
        (*farthest_point(region), label)
        for region, label in ((missed, 1), (excess, 0))
        if region.any()
    ]
    x, y, _, label = max(clicks, key=lambda c: c[2]) if clicks else (*farthest_point(truth), 1)
    return x, y, label


def random_point(mask: Mask, generator: np.random.Generator) -> tuple[int, int]:
    """An (x, y) of the mask, drawn uniformly from its pixels."""
    at = np.flatnonzero(mask)
    y, x = divmod(int(at[generator.integers(len(at))]), mask.shape[1])
    return x, y


def box_of(mask: Mask) -> tuple[float, float, float, float]:
    """The box of a mask as a prompt, XYXY: first to last pixel (both inside)."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(cols[0]), float(rows[0]), float(cols[-1]), float(rows[-1])


def jittered_box(mask: Mask, generator: np.random.Generator) -> tuple[float, float, float, float]:
    """The mask's box with Gaussian noise on each of its four numbers, within the image, XYXY.

    The exact one where the noise leaves less than a pixel of it.
    """
    x0, y0, x1, y1 = box_of(mask)
    sides = np.array([x1 - x0 + 1, y1 - y0 + 1] * 2)
    noise = np.clip(generator.normal(0, BOX_NOISE, 4) * sides, -BOX_NOISE_MOST, BOX_NOISE_MOST)
    last = np.array([mask.shape[1] - 1, mask.shape[0] - 1] * 2)
    a, b, c, d = np.clip(np.array([x0, y0, x1, y1]) + noise, 0, last).tolist()
    return (a, b, c, d) if min(c - a, d - b) >= 1 else (x0, y0, x1, y1)


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two bool masks; two empty ones have 0."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0
