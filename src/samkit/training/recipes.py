"""Every number of a training run, as frozen dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Promptable training of the small model on crops (SAM, appendix A, made cheaper)."""

    steps: int = 3000
    """Optimiser steps in all."""
    warmup: int = 100
    """Steps over which the learning rate rises linearly."""
    cooldown: int = 600
    """Last steps, over which it falls linearly to zero; constant in between, so that a run can be
    made longer from any state that was saved before."""
    lr: float = 8e-4
    trunk_lr_scale: float = 0.25
    """The pretrained trunk learns at this share of the rate."""
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 2.0
    ema: float = 0.998
    """Decay of the averaged weights, which are what is kept."""
    crop_sizes: tuple[int, ...] = (256, 256, 256, 384, 512)
    """Side of the crops, one drawn a step; so many are taken that their pixels are the same."""
    pixels: int = 6 * 256 * 256
    """Pixels of the crops of one step."""
    cells: int = 26_000
    """Masks times cells of the embedding in one step, which is what the decoder costs; the masks
    are shared evenly among the crops."""
    long_side: tuple[float, float] = (320.0, 900.0)
    """Range of the photograph's scaled longer side, log-uniform; the model is used at 512. Crops of
    512 show the whole photograph: there the range ends at 512."""
    more_rounds: tuple[float, ...] = (0.5, 0.35, 0.15)
    """Chances of 0, 1, 2 … corrective rounds after the first prompt."""
    source_power: float = 0.6
    """A source is drawn in proportion to its number of images to this power."""
    focal: float = 1.0
    dice: float = 1.0
    iou: float = 5.0
    others: float = 0.05
    """Share of the mean loss of the three candidates, beside the best one's."""
    single: float = 0.5
    """Weight of the fourth token where the three answer."""
    seed: int = 0


RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    "debug": Recipe(
        steps=4, warmup=1, cooldown=2, pixels=2 * 128 * 128, crop_sizes=(128,), cells=1024
    ),
}
