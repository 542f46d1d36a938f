"""The model as differentiable modules: no files, no devices chosen, no gradients switched off."""

from samkit.modeling.config import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    SamConfig,
    ViTConfig,
)
from samkit.modeling.image_encoder import ImageEncoderViT
from samkit.modeling.mask_decoder import MaskDecoder
from samkit.modeling.prompt_encoder import PromptEncoder
from samkit.modeling.pyramid_encoder import PyramidEncoder
from samkit.modeling.sam import Sam
from samkit.modeling.transformer import TwoWayTransformer

__all__ = [
    "VARIANTS",
    "ImageEncoderViT",
    "MaskDecoder",
    "MaskDecoderConfig",
    "PromptEncoder",
    "PromptEncoderConfig",
    "PyramidConfig",
    "PyramidEncoder",
    "Sam",
    "SamConfig",
    "TwoWayTransformer",
    "ViTConfig",
]
