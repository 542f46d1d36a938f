"""The official package of this name."""

from samkit.utils import amg, transforms

__all__ = ["amg", "transforms"]
