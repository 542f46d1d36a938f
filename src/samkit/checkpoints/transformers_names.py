"""Names of tensors in transformers' SamModel, and the official ones, in one table for both ways.

Each line says how a beginning of an official name reads there; `#` stands for a number, the longest
fitting beginning counts. The small MLPs are outside the table, since theirs number their layers in
another way: first, the inner ones from 0, last.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from samkit.checkpoints.weights import listed, shown
from samkit.errors import CheckpointError

_TABLE = {
    "image_encoder.": "vision_encoder.",
    "image_encoder.patch_embed.proj.": "vision_encoder.patch_embed.projection.",
    "image_encoder.blocks.#.": "vision_encoder.layers.#.",
    "image_encoder.blocks.#.norm1.": "vision_encoder.layers.#.layer_norm1.",
    "image_encoder.blocks.#.norm2.": "vision_encoder.layers.#.layer_norm2.",
    "image_encoder.neck.0.": "vision_encoder.neck.conv1.",
    "image_encoder.neck.1.": "vision_encoder.neck.layer_norm1.",
    "image_encoder.neck.2.": "vision_encoder.neck.conv2.",
    "image_encoder.neck.3.": "vision_encoder.neck.layer_norm2.",
    "prompt_encoder.": "prompt_encoder.",
    "prompt_encoder.point_embeddings.": "prompt_encoder.point_embed.",
    "prompt_encoder.mask_downscaling.0.": "prompt_encoder.mask_embed.conv1.",
    "prompt_encoder.mask_downscaling.1.": "prompt_encoder.mask_embed.layer_norm1.",
    "prompt_encoder.mask_downscaling.3.": "prompt_encoder.mask_embed.conv2.",
    "prompt_encoder.mask_downscaling.4.": "prompt_encoder.mask_embed.layer_norm2.",
    "prompt_encoder.mask_downscaling.6.": "prompt_encoder.mask_embed.conv3.",
    "mask_decoder.": "mask_decoder.",
    "mask_decoder.transformer.layers.#.norm": "mask_decoder.transformer.layers.#.layer_norm",
    "mask_decoder.transformer.norm_final_attn.": "mask_decoder.transformer.layer_norm_final_attn.",
    "mask_decoder.output_upscaling.0.": "mask_decoder.upscale_conv1.",
    "mask_decoder.output_upscaling.1.": "mask_decoder.upscale_layer_norm.",
    "mask_decoder.output_upscaling.3.": "mask_decoder.upscale_conv2.",
}

_GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_SHARED = "shared_image_embedding.positional_embedding"
_SHARED_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"
"""The same matrix once more; a file holds it under one of the names or both."""

_MLP = r"(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)"
_OFFICIAL_LAYER = re.compile(_MLP + r"layers\.(\d+)\.(weight|bias)")
_INNER_LAYER = re.compile(_MLP + r"layers\.(\d+)\.(weight|bias)")
_END_LAYER = re.compile(_MLP + r"(proj_in|proj_out)\.(weight|bias)")


def has_transformers_names(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of transformers' SamModel rather than the official ones."""
    return any(name.startswith("vision_encoder.") for name in tensors)


def to_official(source: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a SamModel under their official names.

    Raises CheckpointError for a name that has no place in the table, and where two copies of the
    Fourier matrix differ.
    """
    depths = _mlp_depths(tensors)
    renamed: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in tensors.items():
        if name == _SHARED_AGAIN and _SHARED in tensors:
            if not tensor.equal(tensors[_SHARED]):
                raise CheckpointError(f"{source} has two Fourier matrices that differ.")
            continue
        official = _official_name(name, depths)
        if official is None:
            unknown.append(shown(name))
        else:
            renamed[official] = tensor
    if unknown:
        raise CheckpointError(
            f"{source} has tensors that transformers' SamModel has not: {listed(unknown)}."
        )
    return renamed


def from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with official names under those of a SamModel."""
    last: dict[str, int] = {}
    for name in tensors:
        if found := _OFFICIAL_LAYER.fullmatch(name):
            last[found[1]] = max(last.get(found[1], 0), int(found[2]))
    return {_transformers_name(name, last): tensor for name, tensor in tensors.items()}


def _mlp_depths(names: Mapping[str, Tensor]) -> dict[str, int]:
    """Layers of each small MLP: the first, the last and the inner ones."""
    inner: dict[str, int] = {}
    for name in names:
        if found := _INNER_LAYER.fullmatch(name):
            inner[found[1]] = max(inner.get(found[1], 0), int(found[2]) + 1)
    return {mlp: count + 2 for mlp, count in inner.items()}


def _official_name(name: str, depths: Mapping[str, int]) -> str | None:
    if name in (_SHARED, _SHARED_AGAIN):
        return _GAUSSIAN
    if found := _END_LAYER.fullmatch(name):
        layer = 0 if found[2] == "proj_in" else depths.get(found[1], 2) - 1
        return f"{found[1]}layers.{layer}.{found[3]}"
    if found := _INNER_LAYER.fullmatch(name):
        return f"{found[1]}layers.{int(found[2]) + 1}.{found[3]}"
    return _replaced(name, _TO_OFFICIAL)


def _transformers_name(name: str, last: Mapping[str, int]) -> str:
    if name == _GAUSSIAN:
        return _SHARED
    if found := _OFFICIAL_LAYER.fullmatch(name):
        layer = int(found[2])
        inner = f"layers.{layer - 1}" if layer < last[found[1]] else "proj_out"
        return f"{found[1]}{'proj_in' if layer == 0 else inner}.{found[3]}"
    return _replaced(name, _FROM_OFFICIAL) or name


def _rules(table: Mapping[str, str]) -> list[tuple[re.Pattern[str], str]]:
    """The table as patterns, the longest beginning first."""
    return [
        (re.compile(re.escape(old).replace(r"\#", r"(\d+)")), new.replace("#", r"\1"))
        for old, new in sorted(table.items(), key=lambda item: -len(item[0]))
    ]


def _replaced(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, new in rules:
        if found := pattern.match(name):
            return found.expand(new) + name[found.end() :]
    return None


_FROM_OFFICIAL = _rules(_TABLE)
_TO_OFFICIAL = _rules({theirs: ours for ours, theirs in _TABLE.items()})
