"""The model that a run begins with."""

import dataclasses
import os
from collections.abc import Sequence

import torch
from torch import nn

from samkit.checkpoints.imagenet import find_lite, load_trunk
from samkit.checkpoints.loading import load
from samkit.checkpoints.mae import is_mae, load_mae
from samkit.errors import UsageError
from samkit.modeling import VARIANTS, ImageEncoderViT, PyramidEncoder, Sam
from samkit.modeling.common import DropPath
from samkit.training.recipes import Recipe

IMAGENET = "imagenet"
"""As `init`: the small model's trunk starts from EfficientNet-Lite0's ImageNet weights."""


def starting_model(
    recipe: Recipe, init: str | os.PathLike[str] | None, device: torch.device
) -> Sam:
    """A model in training mode, on its device, in float32.

    init: None for random weights; "imagenet"; the weights of a pre-training (ours, or MAE's
        published files), of which the image encoder is taken; or any checkpoint that `samkit.load`
        takes, whose variant wins over the recipe's.
    Raises CheckpointError for files that cannot be read or do not fit, UsageError for "imagenet"
    with a ViT.
    """
    if init is None or os.fspath(init) == IMAGENET or is_mae(init):
        sam = _new_model(recipe)
        if init is not None and os.fspath(init) == IMAGENET:
            if not isinstance(sam.image_encoder, PyramidEncoder):
                raise UsageError(
                    f"ImageNet weights fit the default model, not {recipe.model}; give --init a "
                    "file of `samkit pretrain`."
                )
            load_trunk(sam.image_encoder, find_lite(0))
        elif init is not None:
            load_mae(sam.image_encoder, init)
        sam = sam.to(device)
    else:
        sam = load(init, device=device, dtype="float32")
    regularise(sam, recipe.drop_path, recipe.dropout)
    return sam.train()


def regularise(sam: Sam, drop_path: float, dropout: float) -> None:
    """Sets the rates of drop path, rising linearly over a ViT's blocks, and of the decoder's
    dropout."""
    if isinstance(sam.image_encoder, ImageEncoderViT):
        blocks = [module for module in sam.image_encoder.modules() if isinstance(module, DropPath)]
        for i, block in enumerate(blocks):
            block.rate = drop_path * i / max(1, len(blocks) - 1)
    for module in sam.mask_decoder.transformer.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout


def freeze(sam: Sam, parts: Sequence[str]) -> None:
    """Keeps parts of a model as they are.

    parts: beginnings of parameter names, such as `image_encoder` or `image_encoder.blocks.0`.
    Raises UsageError for one that no parameter has, and where nothing is left to learn.
    """
    for part in parts:
        named = [
            value for name, value in sam.named_parameters() if f"{name}.".startswith(f"{part}.")
        ]
        if not named:
            raise UsageError(
                f"No parameter is called {part}; --freeze takes image_encoder, prompt_encoder, "
                "mask_decoder, or the beginning of a longer name."
            )
        for value in named:
            value.requires_grad_(False)
    if not any(value.requires_grad for value in sam.parameters()):
        raise UsageError("Everything is frozen; leave something to learn.")


def _new_model(recipe: Recipe) -> Sam:
    if recipe.model not in VARIANTS:
        raise UsageError(f"{recipe.model} is no model; known are {', '.join(VARIANTS)}.")
    config = VARIANTS[recipe.model]
    if recipe.decoder_layers != config.mask_decoder.transformer_depth:
        decoder = dataclasses.replace(config.mask_decoder, transformer_depth=recipe.decoder_layers)
        config = dataclasses.replace(config, mask_decoder=decoder)
    torch.manual_seed(recipe.seed)
    return Sam(config)
