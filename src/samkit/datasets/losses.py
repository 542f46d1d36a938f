"""What a format could not hold of the records it was given, counted by kind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.records import Record, own_of

HIDDEN_PIXELS = "pixels under other masks"
HIDDEN_MASKS = "masks wholly under others"
EMPTY_MASKS = "masks without a pixel"
SURPLUS_MASKS = "masks beyond the last number there is"
CROWDS = "crowd regions"
CHANGED_PIXELS = "pixels that an outline changes"
LABELS = "labels"
FURTHER_LABELS = "labels after a mask's first"
RESPELT_LABELS = "labels that had to be spelt otherwise"
SCORES = "masks' scores"
PROMPTS = "masks' prompts"
FURTHER_POINTS = "points after a mask's first"
NOTES = "masks' notes"

Losses = Counter[str]
"""How many of each kind were lost; the kinds are the names above."""


@dataclass(frozen=True)
class Holds:
    """What a format has room for beside the masks themselves."""

    labels: Literal["none", "first", "all"] = "none"
    scores: bool = False
    prompts: bool = False
    """Points and the box of the crop."""
    notes: bool = False
    """What else lies under "samkit" in a record."""


def count_fields(losses: Losses, records: Sequence[Record], holds: Holds) -> None:
    """Add what a format with room for `holds` leaves out of the fields of some records.

    Scores of 1, no points and a crop of the whole image say that nobody measured; they count as
    nothing that could be lost.
    """
    for record in records:
        height, width = record["segmentation"]["size"]
        own = own_of(record)
        labels = own.get("labels")
        count = len(labels) if isinstance(labels, list) else 0
        scores = (record["predicted_iou"], record["stability_score"])
        prompted = record["point_coords"] or record["crop_box"] != [0, 0, width, height]
        if holds.labels == "none":
            losses[LABELS] += count
        elif holds.labels == "first":
            losses[FURTHER_LABELS] += max(0, count - 1)
        losses[SCORES] += not holds.scores and scores != (1.0, 1.0)
        losses[PROMPTS] += not holds.prompts and bool(prompted)
        losses[NOTES] += not holds.notes and bool(own.keys() - {"labels"})
    _drop_zeros(losses)


def count_hidden(losses: Losses, areas: Sequence[int], painted: NDArray[np.int32]) -> None:
    """Add what masks lost where they lie under others.

    areas: pixels of each mask. painted: (H, W), k + 1 where mask k is to be seen, as written.
    """
    seen = np.bincount(painted.reshape(-1), minlength=len(areas) + 1)[1:]
    for area, left in zip(areas, seen.tolist(), strict=False):
        losses[HIDDEN_PIXELS] += area - left
        losses[HIDDEN_MASKS] += area > 0 and left == 0
        losses[EMPTY_MASKS] += area == 0
    _drop_zeros(losses)


def loss_sentence(format: str, losses: Mapping[str, int]) -> str | None:
    """One sentence about what a format could not hold; None where nothing was lost."""
    if not losses:
        return None
    parts = ", ".join(f"{count:,} {kind}" for kind, count in losses.items())
    return f"{format} cannot hold everything, this was lost: {parts}."


def _drop_zeros(losses: Losses) -> None:
    for kind in [kind for kind, count in losses.items() if not count]:
        del losses[kind]
