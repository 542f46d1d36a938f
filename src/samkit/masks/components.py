"""Connected components of masks, found on runs of pixels instead of single ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samkit.masks.runs import Bools, Ints, Runs, positions_of, row_runs


class Components(NamedTuple):
    """The connected components of a mask, in the order of their first pixels row by row."""

    runs: Runs
    labels: Ints  # (R,) component of each run, 0 … K - 1
    areas: Ints  # (K,) true pixels of each component


def components_of(mask: Bools, connectivity: int = 8) -> Components:
    """The components of the true pixels of an H×W mask.

    connectivity: 8 (pixels that share a corner touch) or 4 (they must share a side).
    """
    runs = row_runs(mask)
    above, below = _touching(runs, mask.shape[1], reach=1 if connectivity == 8 else 0)
    roots = _united(len(runs.rows), above, below)
    _, labels = np.unique(roots, return_inverse=True)
    areas = np.bincount(labels, weights=runs.ends - runs.starts).astype(np.int64)
    return Components(runs, labels, areas)


def label_image(mask: Bools, connectivity: int = 8) -> tuple[NDArray[np.int32], int]:
    """H×W int32 with 0 where the mask is false and k in component k = 1 … K; and K."""
    runs, labels, areas = components_of(mask, connectivity)
    image = np.zeros(mask.shape, np.int32)
    lengths = runs.ends - runs.starts
    image.reshape(-1)[pixels_of(runs, mask.shape[1])] = np.repeat(labels + 1, lengths)
    return image, len(areas)


def pixels_of(runs: Runs, width: int) -> Ints:
    """Flat row-major positions of all pixels of some runs."""
    return positions_of(runs.rows * width + runs.starts, runs.ends - runs.starts)


def _touching(runs: Runs, width: int, reach: int) -> tuple[Ints, Ints]:
    """All pairs of indices of runs that touch across two neighbouring rows: the upper, the lower.

    Run a touches run b of the next row if a.start < b.end + reach and b.start < a.end + reach.
    """
    stride = width + 2  # so that keys of one row never reach into those of the next
    next_row = (runs.rows + 1) * stride
    first = np.searchsorted(runs.rows * stride + runs.ends, next_row + runs.starts - reach, "right")
    stop = np.searchsorted(runs.rows * stride + runs.starts, next_row + runs.ends + reach, "left")
    counts = np.maximum(stop - first, 0)
    return np.repeat(np.arange(len(counts)), counts), positions_of(first, counts)


def _united(count: int, ones: Ints, others: Ints) -> Ints:
    """(count,) smallest index of the set that each index is in after uniting all pairs."""
    roots = np.arange(count)
    while ones.size:
        a, b = roots[ones], roots[others]
        apart = a != b
        ones, others, a, b = ones[apart], others[apart], a[apart], b[apart]
        # Every root that has a smaller neighbour is hung below one; links only lead downwards.
        roots[np.maximum(a, b)] = np.minimum(a, b)
        while not np.array_equal(above := roots[roots], roots):
            roots = above
    return roots
