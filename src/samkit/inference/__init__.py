"""Prediction and automatic masks: from photographs to masks with a trained model.

Names are looked up when they are first used, so that a help text does not wait for torch.
"""

from typing import TYPE_CHECKING

from samkit.lazy import lazily

if TYPE_CHECKING:
    from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator
    from samkit.inference.candidates import Candidates
    from samkit.inference.embeddings import ImageEmbedding, embed_images
    from samkit.inference.mask_prompts import mask_prompt
    from samkit.inference.predictor import ImageNotSet, Prediction, SamPredictor
    from samkit.inference.settings import PRESETS, AutomaticMaskSettings
    from samkit.inference.transforms import ResizeLongestSide

__all__ = [
    "PRESETS",
    "AutomaticMaskSettings",
    "Candidates",
    "ImageEmbedding",
    "ImageNotSet",
    "Prediction",
    "ResizeLongestSide",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "embed_images",
    "mask_prompt",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "automatic_mask_generator": ("SamAutomaticMaskGenerator",),
        "candidates": ("Candidates",),
        "embeddings": ("ImageEmbedding", "embed_images"),
        "mask_prompts": ("mask_prompt",),
        "predictor": ("ImageNotSet", "Prediction", "SamPredictor"),
        "settings": ("PRESETS", "AutomaticMaskSettings"),
        "transforms": ("ResizeLongestSide",),
    },
)
