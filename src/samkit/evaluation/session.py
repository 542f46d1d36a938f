"""One evaluation: which images, which protocols, who answers, and all that was scored."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.pairs import Pair
from samkit.evaluation import rules
from samkit.evaluation.bsds500 import AnnotatedImage
from samkit.evaluation.clicks import Mask
from samkit.evaluation.edge_maps import EdgeDetector, edges_of_model, edges_of_regions
from samkit.evaluation.edge_matching import count_matches
from samkit.evaluation.edge_scores import f_measure, precision_recall
from samkit.evaluation.promptable import (
    LEAST_PIXELS,
    MOST_CLICKS,
    REPORTED,
    Values,
    chunks,
    score_boxes,
    score_clicks,
    score_random_click,
)
from samkit.evaluation.proposals import (
    Proposer,
    proposals_of_model,
    proposals_of_regions,
    score_proposals,
)
from samkit.evaluation.segmenters import Model, Segmenter
from samkit.evaluation.summaries import (
    CALIBRATION,
    EDGES,
    ImageScores,
    calibration_values,
    edge_values,
)
from samkit.inference.predictor import SamPredictor
from samkit.masks import rle
from samkit.modeling import Sam

Generators = dict[str, np.random.Generator]

CLICKS, BOX, PROPOSALS = "clicks", "box", "proposals"
MODEL = "model"
"""Under this name the model's scores stand; those of rules stand under theirs."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    protocols: frozenset[str]
    rules: bool = False
    """Score the quick rules as well, `slow_rules` also those that take long."""
    slow_rules: bool = False
    noc: bool = False
    """Count clicks, up to `MOST_CLICKS`."""
    clicks: int = REPORTED[-1]
    """So many at most on a mask, where they are not counted."""
    random_first: bool = False
    least_pixels: int = LEAST_PIXELS
    points_per_side: int = 32
    """Of the grid for proposals."""
    seed: int = 0
    """Of random clicks and noise; an image draws the same, whatever others there are."""


@dataclass
class Scores:
    """All scores so far, by who answered and protocol, image by image."""

    by: dict[tuple[str, str], list[ImageScores]] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    """By source; of edges none are counted."""

    def add(self, who: str, protocol: str, scores: ImageScores) -> None:
        """Keep what one image got."""
        self.by.setdefault((who, protocol), []).append(scores)


class Session:
    """Scores images one after the other."""

    def __init__(self, plan: Plan, sam: Sam | None) -> None:
        """sam: None where only rules are scored."""
        self.plan, self.scores = plan, Scores()
        self._segmenters: dict[str, Segmenter] = {}
        self._proposers: dict[str, Proposer] = {}
        self._detectors: dict[str, EdgeDetector] = {}
        if sam is not None:
            self._segmenters[MODEL] = Model(SamPredictor(sam))
            self._proposers[MODEL] = proposals_of_model(sam, plan.points_per_side)
            self._detectors[MODEL] = edges_of_model(sam)
        if plan.rules or plan.slow_rules:
            self._segmenters |= rules.QUICK | (rules.SLOW if plan.slow_rules else {})
            self._proposers[rules.REGIONS] = proposals_of_regions
            self._detectors[rules.REGIONS] = edges_of_regions

    def score_pair(self, pair: Pair, source: str) -> int:
        """Scores one image by all protocols but edges; returns how many masks it had.

        Masks under `least_pixels` are left out. Raises ImageError and FormatError.
        """
        masks = [
            record["segmentation"]
            for record in pair.records
            if rle.area(record["segmentation"]) >= max(1, self.plan.least_pixels)
        ]
        if not masks:
            return 0
        image = pair.image()
        for who, segmenter in self._segmenters.items():
            if self.plan.protocols & {CLICKS, BOX, CALIBRATION}:
                for protocol, values in self._prompted(segmenter, image, masks, pair.name).items():
                    self.scores.add(who, protocol, ImageScores(source, pair.name, values))
        if PROPOSALS in self.plan.protocols:
            for who, propose in self._proposers.items():
                values = score_proposals(propose(image), masks)
                self.scores.add(who, PROPOSALS, ImageScores(source, pair.name, values))
        self.scores.masks[source] = self.scores.masks.get(source, 0) + len(masks)
        return len(masks)

    def score_edges(self, annotated: AnnotatedImage) -> float:
        """Scores one image of BSDS500; returns the best F that anyone had on it.

        Raises ImageError and FormatError.
        """
        image = annotated.image()
        truths = annotated.boundaries(image.shape[:2])
        best = 0.0
        for who, detect in self._detectors.items():
            counts = count_matches(detect(image), truths)
            self.scores.add(who, EDGES, ImageScores("", annotated.name, edge_values(counts)))
            best = max(best, float(f_measure(*precision_recall(counts)).max()))
        return best

    def _prompted(
        self,
        segmenter: Segmenter,
        image: NDArray[np.uint8],
        masks: Sequence[Mapping[str, Any]],
        name: str,
    ) -> dict[str, Values]:
        """Values of all masks of an image, from their RLEs, by protocol."""
        plan = self.plan
        seed = [plan.seed, zlib.crc32(name.encode())]
        # Each protocol has its own, so that all segmenters get the same prompts.
        generators = {
            key: np.random.default_rng([*seed, place]) for place, key in enumerate((CLICKS, BOX))
        }
        segmenter.set_image(image)
        parts: dict[str, list[Values]] = {}
        for part in chunks(masks):
            for protocol, values in self._of_chunk(segmenter, part, generators):
                parts.setdefault(protocol, []).append(values)
        return {
            protocol: {key: np.concatenate([one[key] for one in found]) for key in found[0]}
            for protocol, found in parts.items()
        }

    def _of_chunk(
        self, segmenter: Segmenter, masks: Sequence[Mask], generators: Generators
    ) -> list[tuple[str, Values]]:
        plan, found = self.plan, list[tuple[str, Values]]()
        most = MOST_CLICKS if plan.noc else plan.clicks
        wanted = most if CLICKS in plan.protocols else 1
        is_model = isinstance(segmenter, Model)
        if segmenter.most_clicks and (
            CLICKS in plan.protocols or (is_model and CALIBRATION in plan.protocols)
        ):
            scores = score_clicks(segmenter, masks, min(wanted, segmenter.most_clicks))
            if CLICKS in plan.protocols:
                values = scores.values(noc=plan.noc and segmenter.most_clicks >= MOST_CLICKS)
                if plan.random_first:
                    values |= score_random_click(segmenter, masks, generators[CLICKS])
                found.append((CLICKS, values))
            if is_model and CALIBRATION in plan.protocols:
                found.append((CALIBRATION, calibration_values(scores.predicted, scores.candidates)))
        if BOX in plan.protocols and segmenter.takes_boxes:
            found.append((BOX, score_boxes(segmenter, masks, generators[BOX])))
        return found


def some_of(names: Sequence[str], limit: int | None) -> list[str]:
    """At most `limit` names, chosen by their hashes and so from everywhere, in the order given."""
    if limit is None or limit >= len(names):
        return list(names)
    chosen = set(sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))[:limit])
    return [name for name in names if name in chosen]
