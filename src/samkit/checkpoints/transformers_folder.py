"""Folders of transformers' SamModel (`facebook/sam-vit-*`), in and out.

A folder has `config.json`, `model.safetensors` (or an index of several, or the pickled
`pytorch_model.bin`), and often `preprocessor_config.json` with the pixel statistics.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samkit.checkpoints.safetensors_files import read_safetensors, write_safetensors
from samkit.checkpoints.samkit_files import parse_config
from samkit.checkpoints.torch_files import read_torch
from samkit.checkpoints.transformers_names import from_official, to_official
from samkit.checkpoints.weights import Contents, shown
from samkit.errors import CheckpointError, UsageError
from samkit.files import write_json
from samkit.modeling import Sam, ViTConfig
from samkit.modeling.config import PIXEL_MEAN, PIXEL_STD

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"
PREPROCESSOR = "preprocessor_config.json"

_LARGEST_JSON = 4 << 20
_MOST_SHARDS = 1000


def read_folder(folder: Path) -> Contents:
    """A SamModel under the official names, and the configuration that its JSON says.

    Raises CheckpointError where files are missing or damaged, or it is another kind of model.
    """
    source = str(folder)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"The folder {folder} has no {CONFIG}; a model's folder has it beside {WEIGHTS}."
        )
    config = _read_json(folder / CONFIG)
    if config.get("model_type") != "sam":
        raise CheckpointError(
            f"{folder / CONFIG} describes a model of type {shown(config.get('model_type'))}, "
            "and only 'sam' is read."
        )
    values = _samkit_values(source, config)
    values.update(_pixel_statistics(folder / PREPROCESSOR))
    return Contents(source, parse_config(source, values), to_official(source, _tensors(folder)))


def export_transformers(sam: Sam, folder: str | os.PathLike[str]) -> None:
    """Writes a folder that transformers' `SamModel.from_pretrained` and `SamProcessor` load.

    The weights are stored as float32. Raises UsageError for a model with parts that SamModel does
    not have: a convolutional encoder, drawn prompts, a mixer, an upscaling without GELU, other than
    two or more IoU layers.
    """
    encoder, decoder = sam.config.image_encoder, sam.config.mask_decoder
    prompts = sam.config.prompt_encoder
    published = decoder.mixer_depth == 0 and decoder.upscaling_activation == "gelu"
    if not isinstance(encoder, ViTConfig) or prompts.prompt_maps or not published:
        raise UsageError(
            "transformers' SamModel knows only the published architecture; this model has parts "
            "that it lacks, so it stays with samkit."
        )
    if decoder.iou_head_depth < 2:
        raise UsageError("transformers' SamModel needs an IoU head of two layers or more.")
    folder = Path(folder)
    tensors = {name: tensor.float() for name, tensor in sam.state_dict().items()}
    write_safetensors(folder / WEIGHTS, from_official(tensors), {"format": "pt"})
    write_json(folder / PREPROCESSOR, _preprocessor(sam), indent=2)
    write_json(folder / CONFIG, _transformers_values(sam, encoder), indent=2)


def _samkit_values(source: str, config: dict[str, Any]) -> dict[str, Any]:
    """The values of a SamConfig out of `config.json`; absent ones are transformers' defaults."""
    vision, prompts, decoder = (
        _part(source, config, name)
        for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    )
    _require(
        source, vision, hidden_act="gelu", num_channels=3, use_abs_pos=True, layer_norm_eps=1e-6
    )
    _require(source, prompts, hidden_act="gelu", num_point_embeddings=4, layer_norm_eps=1e-6)
    _require(source, decoder, hidden_act="relu")
    dim = vision.get("hidden_size", 768)
    mlp_dim = vision.get("mlp_dim")
    ratio = vision.get("mlp_ratio", 4.0)
    if isinstance(mlp_dim, int) and isinstance(dim, int) and dim > 0:
        ratio = mlp_dim / dim
    return {
        "image_encoder": {
            "kind": "vit",
            "img_size": vision.get("image_size", 1024),
            "patch_size": vision.get("patch_size", 16),
            "embed_dim": dim,
            "depth": vision.get("num_hidden_layers", 12),
            "num_heads": vision.get("num_attention_heads", 12),
            "mlp_ratio": ratio,
            "out_chans": vision.get("output_channels", 256),
            "qkv_bias": vision.get("qkv_bias", True),
            "use_rel_pos": vision.get("use_rel_pos", True),
            "window_size": vision.get("window_size", 14),
            "global_attn_indexes": vision.get("global_attn_indexes", [2, 5, 8, 11]),
        },
        "prompt_encoder": {
            "embed_dim": prompts.get("hidden_size", 256),
            "mask_in_chans": prompts.get("mask_input_channels", 16),
        },
        "mask_decoder": {
            "transformer_depth": decoder.get("num_hidden_layers", 2),
            "num_heads": decoder.get("num_attention_heads", 8),
            "mlp_dim": decoder.get("mlp_dim", 2048),
            "attention_downsample_rate": decoder.get("attention_downsample_rate", 2),
            "num_multimask_outputs": decoder.get("num_multimask_outputs", 3),
            "iou_head_depth": decoder.get("iou_head_depth", 3),
            "iou_head_hidden_dim": decoder.get("iou_head_hidden_dim", 256),
        },
    }


def _transformers_values(sam: Sam, encoder: ViTConfig) -> dict[str, Any]:
    prompts, decoder = sam.config.prompt_encoder, sam.config.mask_decoder
    return {
        "architectures": ["SamModel"],
        "model_type": "sam",
        "vision_config": {
            "model_type": "sam_vision_model",
            "hidden_size": encoder.embed_dim,
            "output_channels": encoder.out_chans,
            "num_hidden_layers": encoder.depth,
            "num_attention_heads": encoder.num_heads,
            "image_size": encoder.img_size,
            "patch_size": encoder.patch_size,
            "mlp_ratio": encoder.mlp_ratio,
            "mlp_dim": int(encoder.embed_dim * encoder.mlp_ratio),
            "qkv_bias": encoder.qkv_bias,
            "use_rel_pos": encoder.use_rel_pos,
            "window_size": encoder.window_size,
            "global_attn_indexes": list(encoder.global_attn_indexes),
            "num_pos_feats": prompts.embed_dim // 2,
        },
        "prompt_encoder_config": {
            "model_type": "sam_prompt_encoder",
            "hidden_size": prompts.embed_dim,
            "image_size": encoder.img_size,
            "patch_size": encoder.patch_size,
            "mask_input_channels": prompts.mask_in_chans,
        },
        "mask_decoder_config": {
            "model_type": "sam_mask_decoder",
            "hidden_size": prompts.embed_dim,
            "num_hidden_layers": decoder.transformer_depth,
            "num_attention_heads": decoder.num_heads,
            "mlp_dim": decoder.mlp_dim,
            "attention_downsample_rate": decoder.attention_downsample_rate,
            "num_multimask_outputs": decoder.num_multimask_outputs,
            "iou_head_depth": decoder.iou_head_depth,
            "iou_head_hidden_dim": decoder.iou_head_hidden_dim,
            "layer_norm_eps": 1e-5,  # the official decoder's; transformers' own default is 1e-6
        },
    }


def _preprocessor(sam: Sam) -> dict[str, Any]:
    size = sam.image_encoder.config.img_size
    return {
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": size},
        "mask_size": {"longest_edge": size // sam.config.stride * 4},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [round(value / 255, 9) for value in sam.config.pixel_mean],
        "image_std": [round(value / 255, 9) for value in sam.config.pixel_std],
        "do_pad": True,
        "pad_size": {"height": size, "width": size},
        "mask_pad_size": dict.fromkeys(("height", "width"), size // sam.config.stride * 4),
    }


def _tensors(folder: Path) -> dict[str, Tensor]:
    if (folder / WEIGHTS).is_file():
        return read_safetensors(folder / WEIGHTS)[0]
    if (folder / INDEX).is_file():
        return _sharded(folder)
    if (folder / PICKLED).is_file():
        return read_torch(folder / PICKLED)
    raise CheckpointError(f"The folder {folder} has no {WEIGHTS} beside its {CONFIG}; add it.")


def _sharded(folder: Path) -> dict[str, Tensor]:
    places = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise CheckpointError(f"{folder / INDEX} is damaged: it maps no tensors to files.")
    files = sorted(set(places.values()))
    if len(files) > _MOST_SHARDS or any(Path(file).name != file for file in files):
        raise CheckpointError(f"{folder / INDEX} is hostile: it names files outside its folder.")
    tensors: dict[str, Tensor] = {}
    for file in files:
        if not (folder / file).is_file():
            raise CheckpointError(f"The folder {folder} lacks {shown(file)}, which {INDEX} names.")
        tensors.update(read_safetensors(folder / file)[0])
    return tensors


def _pixel_statistics(path: Path) -> dict[str, list[float]]:
    """`pixel_mean` and `pixel_std` out of the preprocessor's JSON; nothing where there is none."""
    if not path.is_file():
        return {}
    values = _read_json(path)
    found = {}
    for key, name, usual in (
        ("image_mean", "pixel_mean", PIXEL_MEAN),
        ("image_std", "pixel_std", PIXEL_STD),
    ):
        given = values.get(key)
        if given is None:
            continue
        if not isinstance(given, list) or not all(
            isinstance(x, int | float) and abs(x) < 1000 for x in given
        ):
            raise CheckpointError(f"{path} is damaged: its {key} is no list of small numbers.")
        scaled = [255.0 * x for x in given]
        close = len(scaled) == 3 and torch.allclose(torch.tensor(scaled), torch.tensor(usual))
        found[name] = list(usual) if close else scaled
    return found


def _part(source: str, config: dict[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name) or {}
    if not isinstance(part, dict):
        raise CheckpointError(f"{source} is damaged: its {name} is no JSON object.")
    return part


def _require(source: str, values: dict[str, Any], **only: object) -> None:
    """Refuses settings that this model does not have."""
    for name, value in only.items():
        if values.get(name, value) != value:
            raise CheckpointError(
                f"{source} has {name} {shown(values[name])} in its {CONFIG}, "
                f"and Segment Anything has {value!r}."
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise CheckpointError(f"{path} is far too large for a configuration.")
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it is no JSON.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is damaged: it is no JSON object.")
    return values
