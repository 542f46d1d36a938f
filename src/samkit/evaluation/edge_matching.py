"""Soft edges against the edges that people drew: matching at every threshold (BSDS500 benchmark).

At a threshold the edge map becomes one of single pixels, which is thinned; each of its pixels may
then be matched with one pixel of an annotator within a small distance. As in Berkeley's
`correspondPixels` that is the assignment of least cost, where the cost of a pair is its distance
and that of a pixel without a partner a hundred times the largest one. There only a few of the
nearest neighbours of a pixel are looked at; here all of them are.
"""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from skimage.morphology import thin

Bools = NDArray[np.bool_]

THRESHOLDS = np.arange(1, 100) / 100
"""99 of them, evenly between 0 and 1."""
MAX_DISTANCE = 0.0075
"""How far matched pixels may be apart, as a share of the image's diagonal."""
UNMATCHED = 100.0
"""Cost of a pixel without a partner, in units of the largest distance."""
COUNTS = ("found", "truth", "right", "edges")
"""What is counted at each threshold: pixels of all annotators that were matched, and all of them;
pixels of the edge map that at least one annotator matched, and all of them."""

_SAME_PLACE = 1e-3  # pixels; a stored 0 would be no pair at all


def count_matches(
    edges: NDArray[np.floating],
    truths: list[Bools],
    thresholds: NDArray[np.float64] = THRESHOLDS,
) -> NDArray[np.int64]:
    """Counts of matched pixels of one image at every threshold.

    edges: H x W in 0 to 1. truths: H x W bool each, the edges of every annotator.
    Returns T x 4, see `COUNTS`. Recall is the first by the second, precision the third by the
    fourth.
    """
    radius = MAX_DISTANCE * float(np.hypot(*edges.shape))
    at = np.argwhere(edges >= thresholds.min())
    place = np.full(edges.shape, -1)
    place[tuple(at.T)] = np.arange(len(at))
    near = [_neighbours(at, np.argwhere(truth), radius) for truth in truths]
    drawn = sum(int(np.count_nonzero(truth)) for truth in truths)
    counts = np.zeros((len(thresholds), len(COUNTS)), np.int64)
    above = np.zeros(edges.shape, bool)
    for row, threshold in enumerate(thresholds):
        before, above = above, edges >= threshold
        if row and np.array_equal(before, above):
            counts[row] = counts[row - 1]
            continue
        pixels = place[thin(above)]
        right = np.zeros(len(pixels), bool)
        found = 0
        for distances in near:
            matched = _match(distances[pixels], UNMATCHED * radius)
            right |= matched
            found += int(np.count_nonzero(matched))
        counts[row] = found, drawn, np.count_nonzero(right), len(pixels)
    return counts


def _neighbours(
    pixels: NDArray[np.int64], truth: NDArray[np.int64], radius: float
) -> scipy.sparse.csr_array:
    """Distances N x M of the pairs that may be matched."""
    if not len(pixels) or not len(truth):
        return scipy.sparse.csr_array((len(pixels), len(truth)), dtype=np.float64)
    pairs = cKDTree(pixels).sparse_distance_matrix(cKDTree(truth), radius, output_type="coo_matrix")
    pairs.data += _SAME_PLACE
    return scipy.sparse.csr_array(pairs)


def _match(distances: scipy.sparse.csr_array, unmatched: float) -> Bools:
    """Which of N pixels get one of M partners, each of them given once: the cheapest assignment."""
    matched = np.zeros(distances.shape[0], bool)
    rows = np.flatnonzero(np.diff(distances.indptr))
    if not len(rows):
        return matched
    costs = distances[rows]
    turned = len(np.unique(costs.indices)) < len(rows)  # the smaller side is assigned faster
    if turned:
        costs = costs.T.tocsr()
        costs = costs[np.diff(costs.indptr) > 0]
    alone = scipy.sparse.diags_array(np.full(costs.shape[0], unmatched), format="csr")
    choices = scipy.sparse.hstack([costs, alone], format="csr")
    left, right = min_weight_full_bipartite_matching(choices)
    paired = right < costs.shape[1]
    matched[rows[right[paired] if turned else left[paired]]] = True
    return matched
