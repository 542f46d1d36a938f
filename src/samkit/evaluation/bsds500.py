"""BSDS500 in its own layout: `images/test/NAME.jpg` and `groundTruth/test/NAME.mat`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from samkit import images
from samkit.errors import FormatError, UsageError

SPLIT = "test"
MAX_MAT_BYTES = 8 << 20
"""Larger files are refused; the published ones have at most a few hundred kilobytes."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One image and the file of its annotators' segmentations."""

    name: str
    picture: Path
    annotations: Path

    def image(self) -> NDArray[np.uint8]:
        """H x W x 3 uint8 RGB. Raises ImageError."""
        return images.read(self.picture)

    def boundaries(self, size: tuple[int, ...]) -> list[NDArray[np.bool_]]:
        """The edges that each annotator drew, H x W bool; size: (H, W) of the image.

        Raises FormatError where the file is not what BSDS500 has.
        """
        return [_checked(drawn, size, self.annotations) for drawn in _read(self.annotations)]


def is_layout(folder: Path) -> bool:
    """Whether a folder is laid out as BSDS500 is."""
    return (folder / "images").is_dir() and (folder / "groundTruth").is_dir()


def read_layout(folder: Path) -> list[AnnotatedImage]:
    """All images of the split `test`, or of folders without splits, by name.

    Raises UsageError where there is none, or where one lacks its annotations.
    """
    split = SPLIT if (folder / "images" / SPLIT).is_dir() else ""
    pictures, drawn = folder / "images" / split, folder / "groundTruth" / split
    found = [
        AnnotatedImage(path.stem, path, drawn / f"{path.stem}.mat")
        for path in sorted(pictures.glob("*"))
        if path.suffix.lower() in images.SUFFIXES
    ]
    if not found:
        raise UsageError(f"There are no pictures in {pictures}, where BSDS500 has its images.")
    missing = [one.annotations for one in found if not one.annotations.is_file()]
    if missing:
        raise UsageError(
            f"{missing[0]} is missing, and {len(missing) - 1} more are; BSDS500 has one for each "
            "image."
        )
    return found


def _read(path: Path) -> list[Any]:
    """What stands under groundTruth{k}.Boundaries, for each annotator k."""
    try:
        if path.stat().st_size > MAX_MAT_BYTES:
            raise FormatError(f"{path} is larger than {MAX_MAT_BYTES >> 20} MiB and is not read.")
        content = scipy.io.loadmat(path, variable_names=["groundTruth"])
        cells = content["groundTruth"].ravel()
        drawn = [cell["Boundaries"][0, 0] for cell in cells]
    except FormatError:
        raise
    except Exception as error:  # scipy raises all kinds of them on damaged files
        raise FormatError(
            f"{path} is not a BSDS500 annotation ({type(error).__name__}: {error}); it must be a "
            "MATLAB file up to version 7 with groundTruth{k}.Boundaries."
        ) from error
    if not drawn:
        raise FormatError(f"{path} holds no annotator's boundaries; copy the file again.")
    return drawn


def _checked(drawn: Any, size: tuple[int, ...], path: Path) -> NDArray[np.bool_]:
    if not isinstance(drawn, np.ndarray) or drawn.dtype.kind not in "buif":
        raise FormatError(f"{path} has boundaries that are no array of numbers; copy it again.")
    if drawn.shape != size:
        raise FormatError(
            f"{path} has boundaries of {drawn.shape}, but its image is {size}; one was replaced."
        )
    return drawn != 0
