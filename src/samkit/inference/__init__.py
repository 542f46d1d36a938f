"""Prediction and automatic masks: from photographs to masks with a trained model."""

from samkit.inference.embeddings import ImageEmbedding, embed_images
from samkit.inference.mask_prompt import mask_prompt
from samkit.inference.predictor import ImageNotSet, Prediction, SamPredictor
from samkit.inference.transforms import ResizeLongestSide

__all__ = [
    "ImageEmbedding",
    "ImageNotSet",
    "Prediction",
    "ResizeLongestSide",
    "SamPredictor",
    "embed_images",
    "mask_prompt",
]
