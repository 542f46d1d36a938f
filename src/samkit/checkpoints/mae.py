"""Weights of masked pre-training: ours, and the published ones of MAE, into an image encoder.

A file of ours is safetensors with the encoder's tensors and one entry of metadata, "samkit_mae":
{"format": 1, "kind": "mae", "model": variant, "provenance": {…}}. The published files
(`mae_pretrain_vit_base.pth`, `…_large.pth`, and `…_huge_p14to16.pth`, whose patches were resized
from 14 to 16 pixels) are told by their tensors' names.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samkit.checkpoints.safetensors_files import (
    is_safetensors,
    read_header_metadata,
    read_safetensors,
    write_safetensors,
)
from samkit.checkpoints.torch_files import read_torch
from samkit.checkpoints.weights import FLOATS, listed, shown
from samkit.errors import CheckpointError
from samkit.modeling import VARIANTS, ImageEncoderViT, PyramidEncoder

KEY = "samkit_mae"
FORMAT = 1

_ZIP = b"PK\x03\x04"
_SIGNS = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight")
"""Tensors that every published file has."""
_DROPPED = re.compile(r"cls_token|mask_token|norm\.(weight|bias)|decoder_.+")
"""What pre-training needs and SAM's encoder has not."""
_MLP = re.compile(r"(blocks\.\d+\.mlp\.)fc([12])(\.(?:weight|bias))")
_FRESH_VIT = re.compile(r"neck\..+|blocks\.\d+\.attn\.rel_pos_[hw]")
_FRESH_PYRAMID = re.compile(r"fine_\w+\..+")


@dataclass(frozen=True)
class Report:
    """What became of the tensors, by their names in the encoder, or in the file where dropped."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    """Not in the file: as they were before."""
    dropped: tuple[str, ...]
    """In the file, but not in the encoder."""
    resized: tuple[str, ...]
    """Interpolated to the encoder's grid."""


def save_mae(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    model: str,
    provenance: Mapping[str, Any],
) -> None:
    """Writes an encoder's tensors as a file of ours, whole or not at all.

    model: the variant whose encoder it is. provenance: JSON values. Raises CheckpointError for
    weights that are not finite.
    """
    for name, value in tensors.items():
        _require_finite(f"The weights in {name}", value)
    about = {"format": FORMAT, "kind": "mae", "model": model, "provenance": provenance}
    write_safetensors(path, tensors, {KEY: json.dumps(about, sort_keys=True, allow_nan=False)})


def is_mae(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds the weights of masked pre-training, ours or published ones.

    False as well for names of models, for what is not there, and for what cannot be read: whoever
    loads such a file then says what is wrong with it.
    """
    file = Path(path)
    if os.fspath(path) in VARIANTS or not file.is_file():
        return False
    try:
        with open(file, "rb") as stream:
            start = stream.read(9)
        if is_safetensors(start) and KEY in read_header_metadata(file):
            return True
        return set(_SIGNS) <= set(_tensors(file))
    except (CheckpointError, OSError):
        return False


def load_mae(encoder: ImageEncoderViT | PyramidEncoder, path: str | os.PathLike[str]) -> Report:
    """Fills an image encoder from a file of `samkit pretrain` or a published one of MAE.

    In a ViT the neck and the relative positions stay as they are, windows need no weights, and the
    absolute positions are interpolated (bicubic) to the encoder's grid. In a pyramid the layers of
    finer features stay as they are. The encoder is not touched where anything is wrong.
    Raises CheckpointError for a file that is missing, damaged, hostile, or another encoder's.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"There is no file {file}.")
    found = _tensors(file)
    vit = isinstance(encoder, ImageEncoderViT)
    _require_kind(file, found, vit)
    dropped = tuple(name for name in found if vit and _DROPPED.fullmatch(name))
    tensors = {
        _MLP.sub(r"\1lin\2\3", name) if vit else name: value
        for name, value in found.items()
        if name not in dropped
    }
    expected = encoder.state_dict()
    resized: tuple[str, ...] = ()
    if vit:
        _require_width(file, tensors["pos_embed"], expected["pos_embed"])
        table = _grid(file, tensors["pos_embed"], with_cls="cls_token" in found)
        side = expected["pos_embed"].shape[1]
        if table.shape[1] != side:
            table, resized = _resize(table, side), ("pos_embed",)
        tensors["pos_embed"] = table
    fresh_names = _FRESH_VIT if vit else _FRESH_PYRAMID
    fresh = tuple(n for n in expected if n not in tensors and fresh_names.fullmatch(n))
    _check_fit(file, tensors, {n: v for n, v in expected.items() if n not in fresh})
    for name, value in tensors.items():
        _require_finite(f"{file} holds values in {name} that", value)
    with torch.no_grad():
        for name, value in tensors.items():
            expected[name].copy_(value)  # shares memory with the encoder
    return Report(tuple(tensors), fresh, dropped, resized)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        with open(path, "rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error.strerror}.") from error
    if start.startswith(_ZIP):
        return read_torch(path)
    if is_safetensors(start):
        return read_safetensors(path)[0]
    raise CheckpointError(
        f"{path} holds no weights of a masked autoencoder: it is neither a file that torch.save "
        "wrote nor safetensors."
    )


def _require_kind(path: Path, found: Mapping[str, Tensor], vit: bool) -> None:
    """Refuses a file of something else before its tensors are listed one by one."""
    is_vit = "pos_embed" in found and "patch_embed.proj.weight" in found
    is_pyramid = "trunk.stem.conv.weight" in found
    if is_vit == vit and is_pyramid != vit:
        return
    if is_vit or is_pyramid:
        kinds = "a ViT", "the default model's convolutional encoder"
        there, here = kinds if is_vit else kinds[::-1]
        raise CheckpointError(
            f"{path} was pre-trained for {there}, and this model has {here}; choose a recipe whose "
            "model fits."
        )
    raise CheckpointError(
        f"{path} holds no weights of a masked autoencoder; its first tensors are "
        f"{listed(map(shown, found))}."
    )


def _require_width(path: Path, found: Tensor, expected: Tensor) -> None:
    if found.dim() != 3 or found.shape[0] != 1:
        raise CheckpointError(f"{path} has positions of the shape {tuple(found.shape)}.")
    if found.shape[2] != expected.shape[3]:
        names = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
        fits = names.get(found.shape[2])
        raise CheckpointError(
            f"{path} is a ViT of width {found.shape[2]}, and this model's is {expected.shape[3]}"
            + (f"; it fits {fits}." if fits else ".")
        )


def _grid(path: Path, table: Tensor, with_cls: bool) -> Tensor:
    """1 x (1 + n*n) x C positions as 1 x n x n x C, without that of the cls token."""
    table = table[:, 1:] if with_cls else table
    side = math.isqrt(table.shape[1])
    if not side or side * side != table.shape[1] or table.dtype not in FLOATS:
        raise CheckpointError(f"{path} has {table.shape[1]} positions, which make no square.")
    return table.reshape(1, side, side, -1).float()


def _resize(table: Tensor, side: int) -> Tensor:
    """1 x n x n x C positions interpolated to 1 x side x side x C."""
    planes = table.permute(0, 3, 1, 2)
    planes = F.interpolate(planes, size=(side, side), mode="bicubic", align_corners=False)
    return planes.permute(0, 2, 3, 1)


def _check_fit(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    problems = {
        "missing": [name for name in expected if name not in tensors],
        "unexpected": [shown(name) for name in tensors if name not in expected],
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} for {tuple(value.shape)}"
            for name, value in expected.items()
            if name in tensors and tensors[name].shape != value.shape
        ],
        "of another type": [
            f"{name} {tensors[name].dtype}"
            for name, value in expected.items()
            if name in tensors and (tensors[name].dtype in FLOATS) != (value.dtype in FLOATS)
        ],
    }
    if any(problems.values()):
        what = "; ".join(f"{kind}: {listed(names)}" for kind, names in problems.items() if names)
        raise CheckpointError(f"{path} does not fit this model's image encoder; tensors {what}.")


def _require_finite(what: str, value: Tensor) -> None:
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise CheckpointError(f"{what} are not finite, as a run that diverged leaves them.")
