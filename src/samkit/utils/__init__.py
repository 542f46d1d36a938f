"""The official package of this name."""

from samkit.utils import amg, onnx, transforms

__all__ = ["amg", "onnx", "transforms"]
