"""The official builders: a model by the name of its size, with or without weights.

They take every format that `samkit.load` takes, and insist on the variant that they are named for.
"""

import os
from collections.abc import Callable

from samkit.checkpoints.loading import load_variant
from samkit.modeling import VARIANTS, Sam


def build_sam_vit_h(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-H on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build("vit_h", checkpoint)


def build_sam_vit_l(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-L on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build("vit_l", checkpoint)


def build_sam_vit_b(checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """ViT-B on the CPU, in float32 and eval mode; random weights where no checkpoint is given."""
    return _build("vit_b", checkpoint)


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


def _build(name: str, checkpoint: str | os.PathLike[str] | None) -> Sam:
    if checkpoint is not None:
        return load_variant(name, checkpoint)
    return Sam(VARIANTS[name]).eval()
