"""The official module of this name."""

from samkit.inference.predictor import SamPredictor

__all__ = ["SamPredictor"]
