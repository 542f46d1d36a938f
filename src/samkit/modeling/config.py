"""Every size of a Segment Anything model, as frozen dataclasses that a checkpoint carries as JSON.

The numbers of `vit_b`, `vit_l` and `vit_h` are those of the published models (SAM, section 3 and
appendix A); `default` is the small model that comes inside the package.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samkit.errors import CheckpointError

PIXEL_MEAN = (123.675, 116.28, 103.53)
"""ImageNet channel means (RGB, 0 to 255) that every published encoder subtracts."""
PIXEL_STD = (58.395, 57.12, 57.375)
"""ImageNet channel standard deviations (RGB, 0 to 255)."""


@dataclass(frozen=True)
class ViTConfig:
    """A plain ViT with windowed and global blocks (SAM appendix A; ViTDet)."""

    img_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    out_chans: int = 256
    qkv_bias: bool = True
    use_rel_pos: bool = True
    window_size: int = 14
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    drop_path: float = 0.0
    """Largest rate of stochastic depth: rises linearly over the blocks, acts in training only."""


@dataclass(frozen=True)
class PyramidConfig:
    """A convolutional encoder whose stages are joined top-down at 1/8 of the image."""

    img_size: int = 512
    stem_chans: int = 32
    stage_chans: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    stage_depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    stage_strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    stage_kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    stage_expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    out_chans: int = 128
    fine_chans: int = 0
    """Channels at 1/2, and twice as many at 1/4, of convolutions that make finer features of the
    trunk's and of what they lie in (see FineLevel); without them where 0."""


@dataclass(frozen=True)
class PromptEncoderConfig:
    """Sizes of the prompt encoder (SAM section 3 and appendix A)."""

    embed_dim: int = 256
    mask_in_chans: int = 16
    prompt_maps: bool = False
    """Draw points and boxes as maps beside the mask prompt, too (see PromptEncoder)."""


@dataclass(frozen=True)
class MaskDecoderConfig:
    """Sizes of the mask decoder (SAM section 3 and appendix A)."""

    transformer_depth: int = 2
    num_heads: int = 8
    mlp_dim: int = 2048
    attention_downsample_rate: int = 2
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden_dim: int = 256
    mixer_depth: int = 0
    """Convolutional blocks that spread a dense prompt over its surroundings (see MaskDecoder)."""
    upscaling_activation: str = "gelu"
    """gelu, as in the published models, or relu, which costs a fifth of a prompt's time less."""
    dropout: float = 0.0
    """Dropout inside the two-way transformer; acts in training only."""


@dataclass(frozen=True)
class SamConfig:
    """A whole model. `variant` is the name under which `samkit models` knows it, if it has one."""

    image_encoder: ViTConfig | PyramidConfig
    prompt_encoder: PromptEncoderConfig = PromptEncoderConfig()
    mask_decoder: MaskDecoderConfig = MaskDecoderConfig()
    pixel_mean: tuple[float, float, float] = PIXEL_MEAN
    pixel_std: tuple[float, float, float] = PIXEL_STD
    mask_threshold: float = 0.0
    variant: str = ""

    @property
    def stride(self) -> int:
        """Pixels of the input image for each cell of the embedding."""
        encoder = self.image_encoder
        return encoder.patch_size if isinstance(encoder, ViTConfig) else 8

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `kind` says which encoder it is."""
        values = dataclasses.asdict(self)
        values["image_encoder"]["kind"] = _KIND_OF[type(self.image_encoder)]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SamConfig":
        """The inverse of `to_dict`; CheckpointError where a field is unknown, missing or odd."""
        if not isinstance(values, Mapping) or not isinstance(values.get("image_encoder"), Mapping):
            raise CheckpointError("The model configuration names no image encoder.")
        encoder = dict(values["image_encoder"])
        kind = encoder.pop("kind", None)
        if not isinstance(kind, str) or kind not in _ENCODERS:
            raise CheckpointError(
                f"The model configuration has an unknown image encoder: {kind!r}."
            )
        parts = dict(values)
        parts["image_encoder"] = _build(_ENCODERS[kind], encoder)
        parts["prompt_encoder"] = _build(PromptEncoderConfig, values.get("prompt_encoder", {}))
        parts["mask_decoder"] = _build(MaskDecoderConfig, values.get("mask_decoder", {}))
        return _build(cls, parts)


_ENCODERS: dict[str, type] = {"vit": ViTConfig, "pyramid": PyramidConfig}
_KIND_OF = {cls: kind for kind, cls in _ENCODERS.items()}
_CHOICES = {"upscaling_activation": ("gelu", "relu")}
_LARGEST = {"img_size": 8192, "depth": 128, "embed_dim": 16384, "out_chans": 8192}


def _build(cls: type, values: Any) -> Any:
    """`cls(**values)` for values that came out of a file: every one checked against its default."""
    if not isinstance(values, Mapping):
        raise CheckpointError(f"The model configuration's {cls.__name__} is not a JSON object.")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise CheckpointError(f"The model configuration has unknown fields: {', '.join(unknown)}.")
    checked = {}
    for name, value in values.items():
        default = fields[name].default
        if isinstance(value, list):
            value = tuple(value)
        if not _same_kind(value, default):
            raise CheckpointError(f"The model configuration's {name} has an odd value: {value!r}.")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise CheckpointError(f"The model configuration's {name} is unknown: {value!r}.")
        if isinstance(value, int | float) and not 0 <= value <= _LARGEST.get(name, 65536):
            raise CheckpointError(f"The model configuration's {name} is out of range: {value!r}.")
        checked[name] = value
    return cls(**checked)


def _same_kind(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return (
            isinstance(value, tuple)
            and len(value) <= 64
            and all(_same_kind(item, default[0]) and 0 <= item <= 65536 for item in value)
        )
    return isinstance(default, dataclasses._MISSING_TYPE) or isinstance(value, type(default))


VARIANTS: dict[str, SamConfig] = {
    "default": SamConfig(
        PyramidConfig(fine_chans=24),
        PromptEncoderConfig(embed_dim=128, mask_in_chans=32, prompt_maps=True),
        MaskDecoderConfig(
            num_heads=4,
            mlp_dim=512,
            iou_head_hidden_dim=128,
            mixer_depth=2,
            upscaling_activation="relu",
        ),
        pixel_mean=(127.0, 127.0, 127.0),
        pixel_std=(128.0, 128.0, 128.0),
        variant="default",
    ),
    "vit_b": SamConfig(ViTConfig(), variant="vit_b"),
    "vit_l": SamConfig(
        ViTConfig(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23)),
        variant="vit_l",
    ),
    "vit_h": SamConfig(
        ViTConfig(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31)),
        variant="vit_h",
    ),
}
