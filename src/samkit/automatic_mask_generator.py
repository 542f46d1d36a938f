"""The official module of this name."""

from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator

__all__ = ["SamAutomaticMaskGenerator"]
