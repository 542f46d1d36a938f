"""Arrays to Pillow images, and their bilinear resize."""

import numpy as np
from PIL import Image


def to_pil_image(array: np.ndarray) -> Image.Image:
    """array: H x W x 3 uint8."""
    return Image.fromarray(array)


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """size: height, width."""
    height, width = size
    return image.resize((width, height), Image.Resampling.BILINEAR)
