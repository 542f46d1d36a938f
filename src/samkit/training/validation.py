"""Scores on the images that a run keeps aside, by which its best weights are chosen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from samkit.evaluation.promptable import LEAST_PIXELS, chunks, score_boxes, score_clicks
from samkit.evaluation.segmenters import Model
from samkit.inference.predictor import SamPredictor
from samkit.modeling import Sam
from samkit.training.distributed import World
from samkit.training.photographs import Photo, Photographs, Place

MEASURES = ("c1", "c1_best", "c3", "box")
"""One click: the most confident of three masks and the best of them; three clicks; the box."""
CLICKS = 3


def validate(
    sam: Sam,
    weights: dict[str, Tensor],
    photographs: Photographs,
    *,
    world: World | None = None,
    most_images: int = 150,
) -> dict[str, float]:
    """Mean IoU over the masks kept aside, by measure; the model keeps its own weights.

    world: its processes share the images, and each is told the means over all of them.
    Leaves the model in eval mode.
    """
    world = world or World()
    own = {name: value.clone() for name, value in sam.state_dict().items()}
    sam.load_state_dict(weights)
    sam.eval()
    found: dict[str, list[float]] = {key: [] for key in MEASURES}
    try:
        model = Model(SamPredictor(sam))
        for place in _evenly(photographs.kept_aside, most_images)[world.rank :: world.size]:
            photo = photographs.read(place)
            masks = [] if photo is None else _masks(photo)
            if photo is None or not masks:
                continue
            model.set_image(photo.image)
            rng = np.random.default_rng(0)
            for some in chunks(masks):
                scores = score_clicks(model, some, CLICKS).values() | score_boxes(model, some, rng)
                for key in MEASURES:
                    found[key] += scores[key].tolist()
    finally:
        sam.load_state_dict(own)
    together = world.everyone(found)
    everything = {key: [score for own in together for score in own[key]] for key in MEASURES}
    return {key: float(np.mean(values)) for key, values in everything.items() if values}


def _evenly(places: Sequence[Place], most: int) -> Sequence[Place]:
    """At most so many, spread over all."""
    return places[:: -(-len(places) // most)] if places else places


def choice(scores: dict[str, float]) -> float:
    """What decides which weights are kept: the mean of all measures."""
    return sum(scores[key] for key in MEASURES) / len(MEASURES)


def _masks(photo: Photo) -> list[dict[str, Any]]:
    """RLEs of those that are large enough."""
    return [
        annotation["segmentation"]
        for annotation in photo.annotations
        if annotation["area"] >= LEAST_PIXELS
    ]
