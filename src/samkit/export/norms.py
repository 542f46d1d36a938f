"""Layer normalisation step by step.

onnxruntime has one kernel for it, which in WebAssembly takes nearly twice as long as the same steps
as operators of their own (docs/export.md). With few tokens it does not matter; with all cells of an
image it does.
"""

import torch
from torch import Tensor, nn

from samkit.modeling.common import LayerNorm2d
from samkit.modeling.mask_decoder import MixerBlock
from samkit.modeling.transformer import TwoWayAttentionBlock


def with_stepped_norms(module: nn.Module) -> None:
    """Replaces, in a module that is about to be exported, the norms that act on all cells."""
    for part in list(module.modules()):
        if isinstance(part, MixerBlock):
            part.set_submodule("norm", SteppedNorm(part.norm))
        elif isinstance(part, TwoWayAttentionBlock):
            part.set_submodule("norm4", SteppedNorm(part.norm4))
        for name, child in part.named_children():
            if isinstance(child, LayerNorm2d):
                part.set_submodule(name, SteppedNorm2d(child))


class SteppedNorm(nn.Module):
    """`nn.LayerNorm` over the last dimension."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """x: ... x C. Same shape."""
        return _normalised(x, self.eps) * self.weight + self.bias


class SteppedNorm2d(LayerNorm2d):
    """`LayerNorm2d`."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__(len(norm.weight), norm.eps)
        self.weight, self.bias = norm.weight, norm.bias

    def over_last(self, x: Tensor) -> Tensor:
        """x: ... x C. Same shape."""
        return _normalised(x, self.eps) * self.weight + self.bias


def _normalised(x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred * centred).mean(dim=-1, keepdim=True)  # a power of 2 would be merged again
    return centred / torch.sqrt(variance + eps)
