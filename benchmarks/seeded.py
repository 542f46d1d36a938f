"""Weights that anyone can rebuild: every tensor from a generator seeded by its own name."""

import math
import zlib

import torch
from torch import Tensor, nn

GAINS = {
    "cross_attn_image_to_token.out_proj.weight": 2.5,
    "q_proj.weight": 1.6,
    "k_proj.weight": 1.6,
    "attn.qkv.weight": 1.3,
    "v_proj.weight": 1.5,
    "out_proj.weight": 1.5,
    "attn.proj.weight": 1.5,
}
"""Louder attention, so that masks depend on where the prompt is: the first ending that fits."""


def fill(model: nn.Module) -> None:
    """Gives every entry of the state dict its seeded values, in place."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(_values(name, tuple(tensor.shape)))


def _values(name: str, shape: tuple[int, ...]) -> Tensor:
    seeded = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    z = torch.randn(shape, generator=seeded)
    leaf = name.rsplit(".", 1)[-1]
    if leaf in ("pos_embed", "rel_pos_h", "rel_pos_w"):
        return 0.3 * z
    if leaf == "positional_encoding_gaussian_matrix" or "_embed" in name or "token" in leaf:
        return z
    if "iou_token" in name or "mask_tokens" in name:
        return z
    if leaf == "bias":
        return 0.1 * z + (0.7 if "iou_prediction_head.layers.2" in name else 0.0)
    if len(shape) == 1:
        return 1 + 0.2 * z
    if "output_hypernetworks_mlps" in name and name.endswith("layers.2.weight"):
        z = z - z.mean(dim=0)  # masks neither all true nor all false
    loud = 1.6 if "output_hypernetworks" in name or "output_upscaling" in name else 1.0
    gain = next((gain for ending, gain in GAINS.items() if name.endswith(ending)), loud)
    fan_in = shape[0] if "output_upscaling" in name else math.prod(shape[1:])
    return gain / math.sqrt(fan_in) * z
