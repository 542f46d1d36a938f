"""Masks from clicks and boxes: the paper's protocol (SAM, section 7.1 and appendix D.1)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.evaluation.clicks import (
    Mask,
    box_of,
    farthest_point,
    iou,
    jittered_box,
    next_click,
    random_point,
)
from samkit.evaluation.segmenters import Answer, Model, Segmenter
from samkit.masks import rle

Values = dict[str, NDArray[np.float64]]
"""By metric one number for each mask."""

LEAST_PIXELS = 150
"""Masks under so many pixels are left out."""
REPORTED = (1, 2, 3, 5, 9)
"""Numbers of clicks after which IoU is reported."""
MOST_CLICKS = 20
"""Clicks at most where they are counted; a mask that never gets there counts as so many."""
ENOUGH = {"noc85": 0.85, "noc90": 0.9}
"""The IoU up to which clicks are counted."""

_AT_ONCE, _PIXELS_AT_ONCE = 32, 1 << 25  # masks prompted together; B x K x H x W of their answers


@dataclass(frozen=True)
class ClickScores:
    """What B masks got."""

    rounds: NDArray[np.float64]
    """B x rounds: IoU after each click; NaN where clicking had ended."""
    candidates: NDArray[np.float64]
    """B x K: IoU of every candidate of the first click."""
    predicted: NDArray[np.float64]
    """B x K: what IoU was predicted for them."""

    def values(self, noc: bool = False) -> Values:
        """`c1`, `c1_best`, `c2` …, and `noc85` and `noc90` where these are wanted."""
        found = {"c1": self.rounds[:, 0], "c1_best": self.candidates.max(1)}
        found |= {f"c{n}": self.rounds[:, n - 1] for n in REPORTED[1:] if n <= self.rounds.shape[1]}
        if noc:
            found |= {name: clicks_needed(self.rounds, level) for name, level in ENOUGH.items()}
        return found


def clicks_needed(rounds: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Clicks until IoU is at least `level` for the first time, `MOST_CLICKS` if never: B."""
    enough = rounds >= level
    return np.where(enough.any(1), enough.argmax(1) + 1.0, float(MOST_CLICKS))


def chunks(masks: Sequence[Mapping[str, Any]], candidates: int = 3) -> Iterator[list[Mask]]:
    """The masks of one photograph from their RLEs, as many at a time as fit into memory with their
    answers: H x W bool each."""
    pixels = math.prod(masks[0]["size"])
    step = max(1, min(_AT_ONCE, _PIXELS_AT_ONCE // (candidates * pixels)))
    for start in range(0, len(masks), step):
        yield [rle.decode(mask) for mask in masks[start : start + step]]


def score_clicks(
    segmenter: Segmenter, masks: Sequence[Mask], clicks: int = REPORTED[-1]
) -> ClickScores:
    """Clicks on B masks of the segmenter's image.

    masks: H x W bool each, with at least one pixel.
    clicks: at most so many; after those that are reported, only masks go on that never had the
        largest IoU that `ENOUGH` asks for.
    The first click is the point farthest from the mask's border; its most confident candidate
    counts. Every further one is the middle of the largest error, given together with all clicks
    before and the logits that counted.
    """
    points = np.array([[farthest_point(mask)[:2]] for mask in masks], float)
    labels = np.ones((len(masks), 1), np.int64)
    answer = segmenter.click(points, labels, None)
    candidates, predicted = _ious(answer, masks), answer.scores.astype(np.float64)
    rounds = np.full((len(masks), clicks), np.nan)
    active = np.arange(len(masks))
    for number in range(1, clicks + 1):
        rows = np.arange(len(active))
        counting, logits = answer.masks[rows, answer.chosen], answer.logits
        rounds[active, number - 1] = [
            iou(mask, masks[i]) for mask, i in zip(counting, active.tolist(), strict=True)
        ]
        going_on = rows
        if number >= REPORTED[-1]:
            going_on = np.flatnonzero(np.nanmax(rounds[active], axis=1) < max(ENOUGH.values()))
        if number == clicks or not len(going_on):
            break
        added = np.array([next_click(counting[i], masks[active[i]]) for i in going_on.tolist()])
        points = np.concatenate([points[going_on], added[:, None, :2]], axis=1)
        labels = np.concatenate([labels[going_on], added[:, 2:]], axis=1)
        logits = None if logits is None else logits[going_on, answer.chosen[going_on]]
        active = active[going_on]
        answer = segmenter.click(points, labels, logits)
    return ClickScores(rounds, candidates, predicted)


def score_random_click(
    segmenter: Segmenter, masks: Sequence[Mask], generator: np.random.Generator
) -> Values:
    """`c1_random`: the first click anywhere in the mask."""
    points = np.array([[random_point(mask, generator)] for mask in masks], float)
    answer = segmenter.click(points, np.ones((len(masks), 1), np.int64), None)
    return {"c1_random": _counting(answer, masks)}


def score_boxes(
    segmenter: Segmenter, masks: Sequence[Mask], generator: np.random.Generator
) -> Values:
    """`box` from the mask's own box and `box_jitter` from a noisy one, the most confident answer.

    Of the model also `box_single`, the answer of the token that is meant for several prompts, and
    `box_refined`: the most confident answer to the exact box is given back together with the box
    (one more round, as in SAM, appendix D.4).
    """
    exact = np.array([box_of(mask) for mask in masks])
    noisy = np.array([jittered_box(mask, generator) for mask in masks])
    answer = segmenter.box(exact)
    values = {
        "box": _counting(answer, masks),
        "box_jitter": _counting(segmenter.box(noisy), masks),
    }
    if isinstance(segmenter, Model) and answer.logits is not None:
        values["box_single"] = _counting(segmenter.box_single(exact), masks)
        logits = answer.logits[np.arange(len(masks)), answer.chosen]
        values["box_refined"] = _counting(segmenter.box_single(exact, logits), masks)
    return values


def _ious(answer: Answer, masks: Sequence[Mask]) -> NDArray[np.float64]:
    """B x K."""
    return np.array(
        [[iou(one, mask) for one in row] for row, mask in zip(answer.masks, masks, strict=True)]
    )


def _counting(answer: Answer, masks: Sequence[Mask]) -> NDArray[np.float64]:
    """B: IoU of the most confident candidates."""
    rows = np.arange(len(masks))
    return np.array(
        [iou(a, b) for a, b in zip(answer.masks[rows, answer.chosen], masks, strict=True)]
    )
