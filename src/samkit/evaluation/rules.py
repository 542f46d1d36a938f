"""Rules that need no model, as segmenters: what any score has to be well above.

They answer the prompts that the model gets; further clicks go where they themselves erred.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from samkit.evaluation import seeded, shapes
from samkit.evaluation.promptable import REPORTED
from samkit.evaluation.segmenters import Answer, Floats
from samkit.evaluation.shapes import Box, Mask

Image = NDArray[np.uint8]
FromClicks = Callable[[Image, Floats, NDArray[np.integer]], list[Mask]]
"""Image, N x 2 points, N labels; the candidates, of which the first counts."""
FromBox = Callable[[Image, Box], Mask]


class Rule:
    """A rule as a segmenter, which takes one prompt after the other."""

    def __init__(
        self,
        clicks: FromClicks | None = None,
        box: FromBox | None = None,
        most_clicks: int = REPORTED[-1],
    ) -> None:
        self._clicks, self._box = clicks, box
        self.most_clicks = most_clicks if clicks else 0
        self.takes_boxes = box is not None

    def set_image(self, image: Image) -> None:
        """See `Segmenter`."""
        self._image = image

    def click(
        self,
        points: Floats,
        labels: NDArray[np.integer],
        logits: NDArray[np.float32] | None,
    ) -> Answer:
        """See `Segmenter`."""
        assert self._clicks is not None  # most_clicks says so
        found = [
            self._clicks(self._image, p, which) for p, which in zip(points, labels, strict=True)
        ]
        return _answer(np.array(found))

    def box(self, boxes: Floats) -> Answer:
        """See `Segmenter`."""
        assert self._box is not None  # takes_boxes says so
        return _answer(
            np.array([[self._box(self._image, (a, b, c + 1, d + 1))] for a, b, c, d in boxes])
        )


def _answer(masks: NDArray[np.bool_]) -> Answer:
    """The first candidate counts, and nobody is sure of anything."""
    return Answer(masks, np.zeros(masks.shape[:2], np.float32))


def _discs(image: Image, points: Floats, labels: NDArray[np.integer]) -> list[Mask]:
    """The single disc, then the other two; the first click alone matters."""
    x, y = points[0]
    others = [radius for radius in shapes.DISCS if radius != shapes.DISC]
    return [shapes.disc(image.shape[:2], x, y, radius) for radius in (shapes.DISC, *others)]


def _one(rule: Callable[[Image, Floats, NDArray[np.integer]], Mask]) -> FromClicks:
    return lambda image, points, labels: [rule(image, points, labels)]


QUICK = {
    "disc": Rule(clicks=_discs, most_clicks=1),
    "watershed": Rule(clicks=_one(seeded.watershed)),
    "ellipse": Rule(box=lambda image, box: shapes.ellipse(image.shape[:2], box)),
    "rectangle": Rule(box=lambda image, box: shapes.rectangle(image.shape[:2], box)),
}
"""Milliseconds a mask. `c1` of `disc` is the single one, `c1_best` the best of three."""
SLOW = {
    "random walker": Rule(clicks=_one(seeded.random_walker)),
    "grabcut": Rule(clicks=_one(seeded.grabcut_clicks), box=seeded.grabcut_box),
}
"""Up to a second for each click."""
REGIONS = "felzenszwalb"
"""The rule for proposals and edges, see `regions`."""
