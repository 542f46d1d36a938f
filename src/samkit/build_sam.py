"""The official builders: a model by the name of its size, with or without weights.

They take every format that `samkit.load` takes, and insist on the variant that they are named for.
"""

import os
from collections.abc import Callable, Sequence

from samkit.checkpoints.loading import load_as
from samkit.modeling import VARIANTS, Sam, SamConfig, ViTConfig


def build_sam_vit_h(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-H on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build(VARIANTS["vit_h"], checkpoint)


def build_sam_vit_l(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-L on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build(VARIANTS["vit_l"], checkpoint)


def build_sam_vit_b(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-B on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build(VARIANTS["vit_b"], checkpoint)


def build_sam(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """The same as `build_sam_vit_h`, as officially."""
    return build_sam_vit_h(checkpoint)


sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
}
"""The official names of the builders; "default" is ViT-H here, unlike `samkit.load("default")`."""


def _build_sam(
    encoder_embed_dim: int,
    encoder_depth: int,
    encoder_num_heads: int,
    encoder_global_attn_indexes: Sequence[int],
    checkpoint: str | os.PathLike[str] | None = None,
) -> Sam:
    """A published model but for the sizes of its encoder, as code of others makes it."""
    encoder = ViTConfig(
        embed_dim=encoder_embed_dim,
        depth=encoder_depth,
        num_heads=encoder_num_heads,
        global_attn_indexes=tuple(encoder_global_attn_indexes),
    )
    return _build(SamConfig(encoder), checkpoint)


def _build(config: SamConfig, checkpoint: str | os.PathLike[str] | None) -> Sam:
    return Sam(config).eval() if checkpoint is None else load_as(config, checkpoint)
