"""Prompts as tensors, checked: one row for each mask that is asked for."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.errors import UsageError
from samkit.modeling import Sam
from samkit.modeling.prompt_encoder import LABEL_BOTTOM_RIGHT, LABEL_PADDING, LABEL_TOP_LEFT


@dataclass(frozen=True)
class Prompts:
    """B rows of prompts in pixels of the model's input; every row has the same kinds."""

    coords: Tensor | None = None
    """B x N x 2 (x, y)."""
    labels: Tensor | None = None
    """B x N; 1 foreground, 0 background, 2 and 3 the corners of a box, -1 none."""
    boxes: Tensor | None = None
    """B x 4 XYXY."""
    masks: Tensor | None = None
    """B x 1 x n x n logits."""
    boxes_of_masks: bool = field(default=False, kw_only=True)
    """Whether the boxes are those of the masks and say nothing of their own."""

    def __len__(self) -> int:
        for part in (self.coords, self.boxes, self.masks):
            if part is not None:
                return part.shape[0]
        return 1  # nothing at all: one mask for no prompt

    def rows(self, start: int, stop: int) -> "Prompts":
        """Some of the rows; the one row of no prompt is never cut."""
        parts = (self.coords, self.labels, self.boxes, self.masks)
        cut = (None if part is None else part[start:stop] for part in parts)
        return Prompts(*cut, boxes_of_masks=self.boxes_of_masks)

    def embed(self, sam: Sam) -> tuple[Tensor, Tensor]:
        """Sparse tokens and the dense map of all rows."""
        points = None
        if self.coords is not None and self.labels is not None:
            points = (self.coords, self.labels)
        sparse, dense = sam.prompt_encoder(points=points, boxes=self.boxes, masks=self.masks)
        return sparse, dense

    def ambiguous(self) -> bool:
        """Whether no row holds more than one prompt, so that three candidates answer it.

        The paper's rule (section 3, "Resolving ambiguity"): several prompts seldom leave a doubt
        and get the single mask. A box counts once, also as two corners; a mask counts as well, and
        once with its box.
        """
        boxes = None if self.boxes_of_masks else self.boxes
        count = int(boxes is not None) + int(self.masks is not None)
        if self.labels is not None and self.labels.numel():
            real = (self.labels != LABEL_PADDING).sum(1)
            first, second = self.labels == LABEL_TOP_LEFT, self.labels == LABEL_BOTTOM_RIGHT
            pairs = torch.minimum(first.sum(1), second.sum(1))
            count += int((real - pairs).max())
        return count <= 1


def checked(
    sam: Sam,
    coords: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    masks: Tensor | None,
) -> Prompts:
    """Prompts on the model's device, one row spread over all where the others have more.

    Raises UsageError, which names the shapes, where they do not fit each other or the model.
    """
    if (coords is None) != (labels is None):
        raise UsageError("Points need coordinates and labels; give point_labels with point_coords.")
    if coords is not None and labels is not None:
        _expect("Point coordinates", coords, coords.dim() == 3 and coords.shape[-1] == 2, "BxNx2")
        fits = labels.dim() == 2 and labels.shape[1] == coords.shape[1]
        _expect("Point labels", labels, fits, "BxN as the coordinates")
        if not bool(((labels >= LABEL_PADDING) & (labels <= LABEL_BOTTOM_RIGHT)).all()):
            raise UsageError(
                "Point labels must be 1 (foreground), 0 (background), 2 and 3 (corners of a box) "
                "or -1 (padding)."
            )
    if boxes is not None:
        _expect("Boxes", boxes, boxes.dim() == 2 and boxes.shape[1] == 4, "Bx4 (x0, y0, x1, y1)")
    if masks is not None:
        n, m = sam.prompt_encoder.mask_input_size
        fits = masks.dim() == 4 and tuple(masks.shape[1:]) == (1, n, m)
        _expect("Mask inputs", masks, fits, f"Bx1x{n}x{m} logits")
    for name, part in (("Point coordinates", coords), ("Boxes", boxes), ("Mask inputs", masks)):
        if part is not None and not bool(torch.isfinite(part).all()):
            raise UsageError(f"{name} must be finite; there is a NaN or an infinity among them.")
    given = {"coords": coords, "labels": labels, "boxes": boxes, "masks": masks}
    parts = {name: _moved(part, sam) for name, part in given.items() if part is not None}
    sizes = {len(part) for part in parts.values()}
    rows = 0 if 0 in sizes else max(sizes, default=1)
    if not sizes <= {1, rows}:
        shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in parts.items())
        raise UsageError(f"Prompts must have one row each or equally many, not {shapes}.")
    spread = {name: part.expand(rows, *part.shape[1:]) for name, part in parts.items()}
    return Prompts(*(spread.get(name) for name in given))


def _expect(name: str, part: Tensor, fits: bool, shape: str) -> None:
    if not fits:
        raise UsageError(f"{name} must have the shape {shape}, not {tuple(part.shape)}.")


def _moved(part: Tensor, sam: Sam) -> Tensor:
    if part.dtype == torch.float64 and sam.device.type == "mps":  # which has no float64
        part = part.float()
    return part.to(sam.device)


def as_array(values: Any, name: str, dtype: type) -> NDArray[Any] | None:
    """A prompt as a numpy array, None as None; UsageError where it is ragged or no numbers."""
    if values is None:
        return None
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    try:
        return np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be an array of numbers of one shape.") from error
