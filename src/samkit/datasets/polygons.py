"""Outlines of other tools turned into masks, by the rule of the COCO API."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from samkit.errors import FormatError
from samkit.masks import rle

_FARTHEST = 10  # image sides outside the image; more is damage, and costs the rasteriser time
_CIRCLE_CORNERS = 180


def polygons_to_mask(polygons: Sequence[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of polygons as a (H, W) bool mask.

    polygons: each a flat list x0, y0, x1, y1, … of at least three corners, in pixels; whole
        numbers are pixel borders, as in COCO files. What lies outside the image is cut off.
    Raises FormatError for lists of another kind, and corners that are far outside.
    """
    height, width = size
    flat = [_checked(polygon, size) for polygon in polygons]
    if not flat:
        raise FormatError("A mask has no polygon.")
    union = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
    return rle.decode(union)


def circle(centre: Sequence[float], edge: Sequence[float]) -> list[float]:
    """A circle about `centre` through `edge`, both (x, y), as a flat polygon."""
    radius = float(np.hypot(edge[0] - centre[0], edge[1] - centre[1]))
    angle = np.arange(_CIRCLE_CORNERS) * (2 * np.pi / _CIRCLE_CORNERS)
    corners = np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], 1)
    return corners.reshape(-1).tolist()


def rectangle(corner: Sequence[float], opposite: Sequence[float]) -> list[float]:
    """A rectangle between two opposite corners (x, y), as a flat polygon."""
    (x0, y0), (x1, y1) = corner, opposite
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def _checked(polygon: Any, size: tuple[int, int]) -> list[float]:
    try:
        values = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError("A polygon must be a list of numbers x0, y0, x1, y1, ….") from error
    if values.ndim != 1 or len(values) < 6 or len(values) % 2:
        raise FormatError("A polygon must be a list of at least three corners x0, y0, x1, y1, ….")
    far = _FARTHEST * max(size)
    if not (np.abs(values) <= far).all():  # not of NaN either
        raise FormatError("A polygon has corners that are not finite or far outside the image.")
    return [float(value) for value in values]
