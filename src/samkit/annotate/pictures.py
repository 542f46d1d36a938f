"""Photographs as the page sees them: upright, decoded and encoded again, without metadata."""

import threading
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from samkit import images
from samkit.errors import ImageError

QUALITY = 92
"""Of JPEG; photographs that are PNG stay PNG, without loss."""

_STEPS = (1, 2, 4, 8)  # fractions of its size at which a JPEG can be decoded
_at_once = threading.BoundedSemaphore(2)  # a photograph of 50 megapixels takes 150 MB


def read(path: Path, size: tuple[int, int], enough: int | None = None) -> NDArray[np.uint8]:
    """The pixels of an image, H x W x 3 uint8, that must have the size (H, W) of the index.

    enough: as `images.read` has it; the result may then be smaller.
    Raises ImageError, which calls the file by its name alone: clients never see paths.
    """
    try:
        pixels = images.read(path, enough=enough)
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error
    steps = (1,) if enough is None else _STEPS
    if pixels.shape[:2] not in [(-(-size[0] // step), -(-size[1] // step)) for step in steps]:
        raise ImageError(f"{path.name} has another size than before; start the annotator again.")
    return pixels


def encode(
    path: Path, size: tuple[int, int], kind: str, longest: int | None = None
) -> tuple[bytes, str]:
    """The bytes of a picture and its media type.

    size: the (H, W) it must have. kind: Pillow's name of the file's format. longest: the longer
    side in pixels to shrink it to; as it is where None. Raises ImageError.
    """
    with _at_once:
        pixels = read(path, size, longest)
        picture = Pillow.fromarray(pixels)
        if longest is not None and longest < max(size):
            picture.thumbnail((longest, longest), Pillow.Resampling.LANCZOS)
        file = BytesIO()
        if kind == "PNG":
            picture.save(file, format="PNG", compress_level=1)
            return file.getvalue(), "image/png"
        picture.save(file, format="JPEG", quality=QUALITY, subsampling=0)
        return file.getvalue(), "image/jpeg"
