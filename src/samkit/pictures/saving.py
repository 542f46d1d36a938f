"""Pictures into files, whole or not at all."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.errors import UsageError
from samkit.files import atomic_write

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),  # thin coloured lines need 4:4:4
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 92}),
}


def save_picture(path: str | Path, picture: NDArray[np.uint8]) -> None:
    """Write a (H, W, 3) uint8 picture as PNG, JPEG or WebP, by the suffix of its name.

    Raises UsageError for another suffix, or a picture that the format cannot hold.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise UsageError(f"{path} must end in one of {known} to be written as a picture.")
    format, options = _FORMATS[suffix]
    data = BytesIO()
    try:
        Image.fromarray(picture).save(data, format=format, **options)
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot write {path}: {error}; choose PNG.") from error
    with atomic_write(path) as file:
        file.write(data.getbuffer())
