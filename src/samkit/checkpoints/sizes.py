"""Reads a model's sizes off the shapes of its tensors, for files that carry no configuration.

Everything but two numbers can be seen: the decoder's attention heads are taken to be 8, and the
pixel statistics those of ImageNet, as in all published models.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from samkit.errors import CheckpointError
from samkit.modeling import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    SamConfig,
    ViTConfig,
)

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def config_of_shapes(source: str, shapes: Shapes) -> SamConfig:
    """The configuration of a model with official names and a ViT encoder.

    Raises CheckpointError where a tensor that shows a size is missing or has an impossible shape.
    """
    try:
        config = SamConfig(_encoder(shapes), _prompts(shapes), _decoder(shapes))
    except KeyError as error:
        raise CheckpointError(_foreign(source, str(error.args[0]), shapes)) from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{source} has tensors whose shapes do not make a Segment Anything model ({error})."
        ) from error
    return named(config)


def variant_of(config: SamConfig) -> str:
    """The name in VARIANTS of the model that has the same tensors and computes the same, or ""."""
    bare = _architecture(config)
    return next((name for name, known in VARIANTS.items() if _architecture(known) == bare), "")


def named(config: SamConfig) -> SamConfig:
    """The configuration with the variant that it really is, whatever it says."""
    return replace(config, variant=variant_of(config))


def same_architecture(one: SamConfig, other: SamConfig) -> bool:
    """Whether two configurations differ in nothing but what acts in training."""
    return _architecture(one) == _architecture(other)


def _architecture(config: SamConfig) -> SamConfig:
    encoder = config.image_encoder
    if isinstance(encoder, ViTConfig):
        encoder = replace(encoder, drop_path=0.0)
    decoder = replace(config.mask_decoder, dropout=0.0)
    return replace(config, image_encoder=encoder, mask_decoder=decoder, variant="")


def _encoder(shapes: Shapes) -> ViTConfig:
    _, rows, cols, dim = shapes["image_encoder.pos_embed"]
    if rows != cols:
        raise ValueError(f"a position table of {rows} x {cols} where a square belongs")
    patch = shapes["image_encoder.patch_embed.proj.weight"][-1]
    depth = _count(shapes, "image_encoder.blocks.")
    blocks = [f"image_encoder.blocks.{i}." for i in range(depth)]
    extents = [(shapes[f"{block}attn.rel_pos_h"][0] + 1) // 2 for block in blocks]
    head_dim = shapes["image_encoder.blocks.0.attn.rel_pos_h"][1]
    windows = {extent for extent in extents if extent != rows}
    if len(windows) > 1:
        raise ValueError(f"windows of several sizes, {sorted(windows)}")
    return ViTConfig(
        img_size=rows * patch,
        patch_size=patch,
        embed_dim=dim,
        depth=depth,
        num_heads=dim // head_dim,
        mlp_ratio=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0] / dim,
        out_chans=shapes["image_encoder.neck.0.weight"][0],
        qkv_bias="image_encoder.blocks.0.attn.qkv.bias" in shapes,
        window_size=windows.pop() if windows else ViTConfig.window_size,
        global_attn_indexes=tuple(i for i, extent in enumerate(extents) if extent == rows),
    )


def _prompts(shapes: Shapes) -> PromptEncoderConfig:
    return PromptEncoderConfig(
        embed_dim=shapes["prompt_encoder.no_mask_embed.weight"][1],
        mask_in_chans=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
        prompt_maps=shapes["prompt_encoder.mask_downscaling.0.weight"][1] == 4,
    )


def _decoder(shapes: Shapes) -> MaskDecoderConfig:
    tokens, dim = shapes["mask_decoder.mask_tokens.weight"]
    first = "mask_decoder.transformer.layers.0."
    return MaskDecoderConfig(
        transformer_depth=_count(shapes, "mask_decoder.transformer.layers."),
        mlp_dim=shapes[f"{first}mlp.lin1.weight"][0],
        attention_downsample_rate=dim
        // shapes[f"{first}cross_attn_token_to_image.q_proj.weight"][0],
        num_multimask_outputs=tokens - 1,
        iou_head_depth=_count(shapes, "mask_decoder.iou_prediction_head.layers."),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
        mixer_depth=_count(shapes, "mask_decoder.mixer."),
    )


def _count(shapes: Shapes, prefix: str) -> int:
    """How many different numbers follow a beginning of names."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({found[1] for name in shapes if (found := pattern.match(name))})


def _foreign(source: str, missing: str, shapes: Shapes) -> str:
    """Why a file without an expected tensor is none of ours, as far as its names tell."""
    if missing.endswith("rel_pos_h"):
        return (
            f"{source} has no relative positions ({missing}), off which its heads and windows "
            "could be read; load it from a transformers folder or a samkit file, which say them."
        )
    relatives = {
        "image_encoder.trunk.blocks.0.norm1.weight": "SAM 2",
        "image_encoder.patch_embed.seq.0.c.weight": "MobileSAM, whose encoder is a TinyViT",
        "cls_token": "a plain ViT, such as a masked autoencoder",
        "image_encoder.trunk.stem.conv.weight": (
            "a samkit model without its configuration; use the safetensors file that samkit saved"
        ),
    }
    relative = next((what for name, what in relatives.items() if name in shapes), None)
    looks = f"it looks like {relative}" if relative else "it seems to be another model"
    return f"{source} has no tensor {missing}, so it is no Segment Anything model; {looks}."
