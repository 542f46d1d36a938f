"""Every number of a pre-training run, and the models that are pre-trained."""

import math
from dataclasses import dataclass, replace

import torch

from samkit.errors import UsageError
from samkit.modeling import VARIANTS, SamConfig, ViTConfig
from samkit.modeling.masked_autoencoder import MaskedAutoencoderViT
from samkit.modeling.masked_patches import MaskedAutoencoder, MaskedDecoderConfig
from samkit.modeling.masked_pyramid import PATCH, MaskedPyramid

REFERENCE_BATCH = 256
"""The base learning rate is that of so many images; it grows with the batch (MAE, table 8)."""
PAPER_DECODER = MaskedDecoderConfig()


@dataclass(frozen=True)
class PretrainRecipe:
    """Masked pre-training (MAE, section 4 and table 8); the defaults are the paper's.

    Its 1600 epochs of ImageNet (1,281,167 images) and 40 of warm-up are given in steps.
    """

    model: str = "vit_b"
    """The variant of Segment Anything whose image encoder is pre-trained."""
    img_size: int = 224
    """Side of the square input in pixels; SAM's own is larger, and positions are interpolated."""
    decoder: MaskedDecoderConfig = PAPER_DECODER
    steps: int = 500_456
    """Optimiser steps in all."""
    batch: int = 4096
    """Images of one optimiser step, over all processes."""
    at_once: int = 64
    """Images that a process computes together; more are accumulated."""
    base_lr: float = 1.5e-4
    """Learning rate per 256 images of the batch."""
    warmup: int = 12_511
    """Steps over which the learning rate rises linearly, before it falls as half a cosine to 0."""
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Range of the share of an image's area that is shown."""
    mirror: bool = True
    autocast: str = "none"
    """bfloat16: matrix products in bfloat16, everything else in float32."""
    save_every: int = 1000
    """Steps between two savings; the picture of reconstructions is drawn then, too."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for numbers that make no run."""
        if self.model not in VARIANTS:
            raise UsageError(f"{self.model} is no model; known are {', '.join(VARIANTS)}.")
        patch = self._patch_size
        if self.img_size < 2 * patch or self.img_size % patch:
            raise UsageError(
                f"The image size must be a multiple of {patch} from {2 * patch} on, "
                f"not {self.img_size}."
            )
        if min(self.steps, self.batch, self.at_once, self.save_every) < 1:
            raise UsageError("Steps, batch and images at once must be at least 1.")
        if not 0 < self.base_lr < math.inf:
            raise UsageError(f"The learning rate must be above 0, not {self.base_lr}.")
        if self.autocast not in ("none", "bfloat16"):
            raise UsageError(f"Autocast is none or bfloat16, not {self.autocast}.")

    @property
    def lr(self) -> float:
        """The largest learning rate."""
        return self.base_lr * self.batch / REFERENCE_BATCH

    @property
    def sam(self) -> SamConfig:
        """The model that the encoder is for: it says how pixels are normalised."""
        return VARIANTS[self.model]

    @property
    def _patch_size(self) -> int:
        encoder = self.sam.image_encoder
        return encoder.patch_size if isinstance(encoder, ViTConfig) else PATCH


def pretraining_rate(recipe: PretrainRecipe, step: int) -> float:
    """The learning rate of step `step`, counted from 0: linear up, half a cosine down to 0."""
    if step < recipe.warmup:
        return recipe.lr * step / recipe.warmup
    passed = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, passed)))


def new_autoencoder(recipe: PretrainRecipe) -> MaskedAutoencoder:
    """The recipe's model on the CPU, its random weights those of the recipe's seed."""
    encoder = recipe.sam.image_encoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if isinstance(encoder, ViTConfig):
            return MaskedAutoencoderViT(replace(encoder, img_size=recipe.img_size), recipe.decoder)
        return MaskedPyramid(replace(encoder, img_size=recipe.img_size), recipe.decoder)


_SMALL = PretrainRecipe(
    model="default",
    img_size=192,
    decoder=MaskedDecoderConfig(dim=128, depth=2),
    steps=5000,
    batch=32,
    at_once=16,
    base_lr=4e-3,  # 5e-4 for this batch; the paper's rule, made for thousands, gives 2e-5
    warmup=200,
    save_every=250,
)
_VIT_B = PretrainRecipe()

PRETRAIN_RECIPES: dict[str, PretrainRecipe] = {
    "debug": replace(
        _SMALL, img_size=64, steps=4, batch=4, at_once=2, base_lr=6.4e-2, warmup=1, save_every=2
    ),
    "default": _SMALL,
    "vit_b": _VIT_B,
    "vit_l": replace(_VIT_B, model="vit_l", at_once=32),
    "vit_h": replace(_VIT_B, model="vit_h", at_once=16),
}
"""`debug` for tests, `default` for the bundled model's encoder, `vit_*` as the paper has them. The
paper's ViT-H has patches of 14 pixels; SAM's, and so this one, has 16."""
