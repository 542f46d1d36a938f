"""Who answers prompts in an evaluation: the model, or a rule, behind one interface."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from samkit.inference.predictor import SamPredictor

Floats = NDArray[np.floating]


class Answer(NamedTuple):
    """Masks for B prompts, K candidates each."""

    masks: NDArray[np.bool_]
    """B x K x H x W."""
    scores: Floats
    """B x K predicted IoU; the most confident candidate counts."""
    logits: NDArray[np.float32] | None = None
    """B x K x n x n low-res logits, of which the counting one's come back with the next click."""

    @property
    def chosen(self) -> NDArray[np.int64]:
        """B: which candidate is the most confident."""
        return self.scores.argmax(1)


class Segmenter(Protocol):
    """Answers prompts on one photograph at a time."""

    most_clicks: int
    """It makes use of so many clicks; 0 where it takes none."""
    takes_boxes: bool

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """The photograph, H x W x 3 RGB, of the prompts that follow."""
        ...

    def click(
        self,
        points: Floats,
        labels: NDArray[np.integer],
        logits: NDArray[np.float32] | None,
    ) -> Answer:
        """Answers B x N x 2 points (x, y) with B x N labels (1 inside, 0 outside).

        logits: B x n x n of the previous answer; None with the first click.
        """
        ...

    def box(self, boxes: Floats) -> Answer:
        """Answers B x 4 boxes, XYXY of the first and last pixels."""
        ...


class Model:
    """The model: three candidates for one prompt, one mask for several (SAM, section 3)."""

    most_clicks = 1_000_000
    takes_boxes = True

    def __init__(self, predictor: SamPredictor) -> None:
        self.predictor = predictor

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """Embeds it."""
        self.predictor.set_image(image)

    def click(
        self,
        points: Floats,
        labels: NDArray[np.integer],
        logits: NDArray[np.float32] | None,
    ) -> Answer:
        """See `Segmenter`."""
        return Answer(
            *self.predictor.predict_many(
                points,
                labels,
                mask_input=None if logits is None else logits[:, None],
                multimask_output=points.shape[1] == 1,
            )
        )

    def box(self, boxes: Floats) -> Answer:
        """See `Segmenter`; three candidates."""
        return Answer(*self.predictor.predict_many(boxes=boxes, multimask_output=True))

    def box_single(self, boxes: Floats, logits: NDArray[np.float32] | None = None) -> Answer:
        """The same with the token for several prompts, as official examples ask for boxes.

        logits: B x n x n of an answer that goes in with the boxes.
        """
        before = None if logits is None else logits[:, None]
        return Answer(
            *self.predictor.predict_many(boxes=boxes, mask_input=before, multimask_output=False)
        )
