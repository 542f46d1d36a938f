"""Runs of true pixels along rows or columns: what RLE and region labelling are both made of."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Runs(NamedTuple):
    """Maximal runs of one row each, sorted by row, then start; int64 arrays of equal length."""

    rows: Ints
    starts: Ints  # first column of the run
    ends: Ints  # one past its last column


class Window(NamedTuple):
    """A rectangle of pixels: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts the window out of an H×W array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def row_runs(mask: Bools) -> Runs:
    """The runs of true pixels of an H×W mask, row by row."""
    height, width = mask.shape
    if mask.size == 0:
        none = np.zeros(0, np.int64)
        return Runs(none, none, none)
    changes = np.empty((height, width + 1), bool)  # changes[:, x]: between columns x - 1 and x
    changes[:, 0] = mask[:, 0]
    np.not_equal(mask[:, 1:], mask[:, :-1], out=changes[:, 1:-1])
    changes[:, -1] = mask[:, -1]
    rows, columns = np.divmod(np.flatnonzero(changes), width + 1)
    return Runs(rows[::2], columns[::2], columns[1::2])


def column_major_bounds(crop: Bools, offset: tuple[int, int], size: tuple[int, int]) -> Ints:
    """Where a column-major scan of an image turns from false to true, to false, to true …

    crop: h×w mask of a part of the image; everything outside it is false.
    offset, size: the part's first (row, column) and the whole image's (H, W).
    Returns an even number of strictly increasing flat positions x·H + y in 0 … H·W.
    """
    if crop.size == 0:
        return np.zeros(0, np.int64)
    height, width = crop.shape
    changes = np.empty((height + 1, width), bool)
    changes[0] = crop[0]
    np.not_equal(crop[1:], crop[:-1], out=changes[1:-1])
    changes[-1] = crop[-1]
    # Scanning by rows and sorting the few changes is much faster than transposing the pixels.
    rows, columns = np.divmod(np.flatnonzero(changes), width)
    bounds: Ints = (columns + offset[1]) * size[0] + (rows + offset[0])
    bounds.sort()
    # A run that ends at the foot of a column and goes on at the head of the next is one run.
    touching = np.flatnonzero(bounds[1:] == bounds[:-1])
    if touching.size:
        bounds = np.delete(bounds, np.concatenate([touching, touching + 1]))
    return bounds


def window_of(mask: Bools) -> Window:
    """The smallest window that holds all true pixels of an H×W mask; zeros if there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return Window(0, 0, 0, 0)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return Window(top, bottom, int(columns[0]), int(columns[-1]) + 1)


def positions_of(starts: Ints, lengths: Ints) -> Ints:
    """All positions inside the runs starts … starts + lengths - 1, run after run."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
