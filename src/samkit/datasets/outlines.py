"""Masks turned into outlines that give back every pixel.

An outline runs along the borders of pixels, so its corners are whole numbers. Rasterised by the
rule of the COCO API (`polygons.polygons_to_mask`), it is the mask again, pixel for pixel. Holes,
and parts that lie apart, hang on bridges of no width: the outline goes there and back along the
same line, which encloses nothing.
"""

import numpy as np
from numpy.typing import NDArray

from samkit.masks.components import label_image
from samkit.masks.runs import Bools, Ints, window_of

_LOOKED_AT = 40_000_000  # corners in all, when rings look for the nearest to hang on


def outline(mask: Bools) -> NDArray[np.int64]:
    """(N, 2) corners (x, y) of one closed outline of a (H, W) mask; (0, 2) where it is empty."""
    window = window_of(mask)
    rings = _rings(mask[window.slices])
    joined = _joined(rings) if rings else np.zeros((0, 2), np.int64)
    return joined + np.array([window.left, window.top])


def outlines(mask: Bools) -> list[NDArray[np.int64]]:
    """An outline for each part of a mask, which is their union; pixels of a part share sides."""
    window = window_of(mask)
    labels, count = label_image(mask[window.slices], connectivity=4)
    corner = np.array([window.left, window.top])
    return [outline(labels == part + 1) + corner for part in range(count)]


def _rings(mask: Bools) -> list[NDArray[np.int64]]:
    """All closed lines between true and false pixels, each (N, 2) corners, upper left ones first.

    Outer lines go clockwise (as seen, y downwards) and those of holes the other way.
    """
    x, y, across, along = _corners(mask)
    rings, seen = [], np.zeros(len(x), bool)
    for start in range(len(x)):
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            other = across[corner]
            seen[corner] = seen[other] = True
            ring += [corner, other]
            corner = along[other]
        if not (y[start] < mask.shape[0] and mask[y[start], x[start]]):  # a hole lies below
            ring[1:] = ring[:0:-1]
        rings.append(np.stack([x[ring], y[ring]], axis=1))
    return rings


def _corners(mask: Bools) -> tuple[Ints, Ints, Ints, Ints]:
    """x, y of all corners of a mask's borders, row by row, and the corner at the other end of the
    horizontal and of the vertical border that ends in each.

    On each row the corners, from left to right, are the ends of borders two by two, and so on each
    column. Where two pixels touch at a corner only, it counts twice.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    above, below = padded[:-1], padded[1:]
    falling = (above[:, :-1] == below[:, 1:]) & (above[:, :-1] != above[:, 1:])
    twice = falling & (above[:, 1:] == below[:, :-1])  # true pixels meet at this corner only
    once = (above[:, :-1] + above[:, 1:] + below[:, :-1] + below[:, 1:]) % 2 == 1
    y, x = np.nonzero(once | twice)
    repeats = np.where(twice[y, x], 2, 1)
    second = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    y, x = np.repeat(y, repeats), np.repeat(x, repeats)
    by_column = np.lexsort((second, y, x))  # of two, the first ends the borders left and above
    along = np.empty(len(x), np.int64)
    along[by_column[0::2]], along[by_column[1::2]] = by_column[1::2], by_column[0::2]
    across = np.arange(len(x)) ^ 1  # they stand row by row already
    return x, y, across, along


def _joined(rings: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All rings as one closed line: each hangs on the nearest corner of those before it.

    Of masks like noise only the latest are looked at, else it would take minutes.
    """
    corners = np.concatenate(rings)
    starts = np.cumsum([0, *map(len, rings)])
    hanging: dict[int, list[int]] = {}
    for ring in range(1, len(rings)):
        first = max(0, starts[ring] - _LOOKED_AT // len(rings))
        apart = corners[first : starts[ring]] - corners[starts[ring]]
        nearest = int(first + np.argmin((apart * apart).sum(axis=1)))
        hanging.setdefault(nearest, []).append(ring)
    order: list[int] = []
    todo = [iter(range(starts[0], starts[1]))]
    ways_back: list[list[int]] = [[]]
    while todo:
        corner = next(todo[-1], None)
        if corner is None:
            todo.pop()
            order += ways_back.pop()
            continue
        order.append(corner)
        for ring in hanging.get(corner, []):
            todo.append(iter(range(starts[ring], starts[ring + 1])))
            ways_back.append([int(starts[ring]), corner])
    return corners[order]
