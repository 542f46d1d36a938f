"""The official module of this name."""

from samkit.inference.transforms import ResizeLongestSide

__all__ = ["ResizeLongestSide"]
