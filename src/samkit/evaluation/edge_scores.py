"""ODS, OIS, AP and R50 from counts of matched edge pixels (BSDS500 benchmark; SAM, section 7.2)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.integer | np.floating]

_BETWEEN = 100  # points between two thresholds at which the best F is looked for


def precision_recall(counts: Counts) -> tuple[Floats, Floats]:
    """Precision and recall of counts (..., 4), see `edge_matching.COUNTS`; 0 of nothing."""
    found, truth, right, edges = np.moveaxis(counts.astype(float), -1, 0)
    return right / np.maximum(edges, 1), found / np.maximum(truth, 1)


def f_measure(precision: Floats, recall: Floats) -> Floats:
    """Their harmonic mean; 0 where both are."""
    return 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def best_threshold(counts: Counts) -> int:
    """The row of one image's counts (T x 4) with the best F."""
    return int(f_measure(*precision_recall(counts)).argmax())


def edge_scores(counts: Counts, at_best: Counts) -> dict[str, float]:
    """The benchmark's four numbers.

    counts: T x 4 summed over all images. at_best: 4, the sum of every image's counts at its own
    best threshold.
    `ods` is the best F of one threshold for all images, between thresholds too; `ois` the F of each
    image at its own; `ap` the mean precision over recalls of 0 to 1 in steps of .01, zero at those
    not reached; `r50` the recall at a precision of .5.
    """
    precision, recall = precision_recall(counts)
    return {
        "ods": _best_f(precision, recall),
        "ois": float(f_measure(*precision_recall(at_best))),
        "ap": _average_precision(precision, recall),
        "r50": _recall_at_half(precision, recall),
    }


def _best_f(precision: Floats, recall: Floats) -> float:
    place = np.arange(len(precision))
    between = np.linspace(0, len(precision) - 1, (len(precision) - 1) * _BETWEEN + 1)
    return float(
        f_measure(np.interp(between, place, precision), np.interp(between, place, recall)).max()
    )


def _average_precision(precision: Floats, recall: Floats) -> float:
    reached, first = np.unique(recall, return_index=True)
    at = np.linspace(0, 1, 101)
    inside = np.interp(at, reached, precision[first], left=0, right=0)
    return float(inside.sum() / 100)


def _recall_at_half(precision: Floats, recall: Floats) -> float:
    levels, first = np.unique(precision, return_index=True)
    return float(np.interp(max(levels[0], 0.5), levels, recall[first]))
