"""What the masks of an image were prompted with so far, and where its crop lies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.datasets.augment import Crop
from samkit.modeling import Sam
from samkit.modeling.prompt_encoder import (
    LABEL_BOTTOM_RIGHT,
    LABEL_FOREGROUND,
    LABEL_PADDING,
    LABEL_TOP_LEFT,
)


@dataclass(frozen=True)
class CropPlace:
    """A crop's place on the model's square input, in cells of the embedding."""

    top: int
    left: int
    h: int
    w: int
    stride: int
    positions: Tensor
    """1 x C x h x w: the dense positions of these cells."""

    @classmethod
    def draw(cls, sam: Sam, embedding: Tensor, rng: np.random.Generator) -> "CropPlace":
        """A random place for an embedding ... x h x w; (0, 0) for one of the whole input."""
        h, w = embedding.shape[-2:]
        rows, cols = sam.prompt_encoder.image_embedding_size
        top, left = int(rng.integers(rows - h + 1)), int(rng.integers(cols - w + 1))
        positions = sam.prompt_encoder.get_dense_pe()[:, :, top : top + h, left : left + w]
        return cls(top, left, h, w, sam.config.stride, positions)

    @property
    def low_res(self) -> tuple[int, int]:
        """Height and width of the low-res logits."""
        return 4 * self.h, 4 * self.w

    def shown(self, crop: Crop) -> tuple[int, int]:
        """Rows and columns of the low-res logits that show image rather than padding."""
        size = crop.image.shape[0]
        rows, cols = crop.filled or crop.image.shape[:2]
        return -(-rows * self.low_res[0] // size), -(-cols * self.low_res[1] // size)

    @property
    def corner(self) -> tuple[float, float]:
        """Its top left corner (x, y) in pixels of the model's input."""
        return float(self.left * self.stride), float(self.top * self.stride)


@dataclass(frozen=True)
class Prompts:
    """Prompts of B masks of one image, in pixels of its crop; some begin with a box, some without.

    Every row begins with a box as its two corners, or with a click and the point of padding that
    the prompt encoder adds to clicks: either way it has as many tokens.
    """

    points: Tensor
    """B x N x 2 (x, y)."""
    labels: Tensor
    """B x N: the prompt encoder's labels."""
    previous: Tensor | None = None
    """B x 1 x 4h x 4w: unthresholded logits of the round before."""

    @classmethod
    def first(cls, given: Sequence[NDArray[np.float32]], device: torch.device) -> "Prompts":
        """given: for each mask a point (x, y), or a box XYXY."""
        points = [[*prompt, 0.0, 0.0][:4] for prompt in given]
        labels = [
            (LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT)
            if len(prompt) == 4
            else (LABEL_FOREGROUND, LABEL_PADDING)
            for prompt in given
        ]
        return cls(
            torch.tensor(points, dtype=torch.float32, device=device).reshape(-1, 2, 2),
            torch.tensor(labels, dtype=torch.long, device=device),
        )

    @property
    def by_box(self) -> Tensor:
        """B bool: whether a mask has a box."""
        return self.labels[:, 0] == LABEL_TOP_LEFT

    def with_points(self, points: Tensor, labels: Tensor, scale: float) -> "Prompts":
        """One more point for each mask: B x 2 in cells of which each has `scale` pixels."""
        points = ((points + 0.5) * scale - 0.5)[:, None]
        return replace(
            self,
            points=torch.cat([self.points, points], dim=1),
            labels=torch.cat([self.labels, labels[:, None]], dim=1),
        )

    def with_previous(self, logits: Tensor) -> "Prompts":
        """The logits B x h x w of a round as the mask prompt of the next."""
        return replace(self, previous=logits[:, None])

    def encode(self, sam: Sam, window: CropPlace) -> tuple[Tensor, Tensor]:
        """Sparse and dense prompt embeddings: B x T x C and B x C x h x w."""
        return sam.prompt_encoder(
            points=(self.points + self.points.new_tensor(window.corner), self.labels),
            masks=self.previous,
            window=(window.top, window.left, window.h, window.w),
            padded=True,
        )
