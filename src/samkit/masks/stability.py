"""The stability score of masks (SAM, section 5 "Segmenting everything" and appendix B)."""

import math

import torch
from torch import Tensor


def stability_score(logits: Tensor, threshold: float = 0.0, offset: float = 1.0) -> Tensor:
    """How little a mask changes when its threshold moves.

    logits: (..., H, W) mask logits at any resolution.
    Returns (...,) float32 IoU in [0, 1] between the masks at threshold + offset and at threshold -
    offset. An empty outer mask scores 0 (officially 0/0 = NaN), so that it is never kept.
    """
    # The mask at the higher threshold lies inside the other, so the areas are all that IoU needs.
    inner = true_pixels(logits > threshold + offset)
    outer = true_pixels(logits > threshold - offset)
    return inner / outer.clamp(min=1)


def true_pixels(masks: Tensor) -> Tensor:
    """(...,) int32 areas in pixels of (..., H, W) bool masks."""
    height, width = masks.shape[-2:]
    block = math.gcd(height * width, 128)  # a block's sum fits a byte, and bytes are summed fast
    blocks = masks.view(torch.uint8).reshape(*masks.shape[:-2], height * width // block, block)
    return blocks.sum(-1, dtype=torch.uint8).sum(-1, dtype=torch.int32)
