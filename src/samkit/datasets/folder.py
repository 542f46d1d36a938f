"""Folders of images and folders of mask pictures, read as pairs.

An index picture is gray, or has a palette: each value but 0 is one mask (the palette's index, never
its colour). A colour picture is RGB: each colour but black is one mask. NAME.png of the masks
belongs to NAME.jpg (or another suffix) of the images.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.document import ImageInfo, image_id_of
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.records import from_mask
from samkit.errors import FormatError, ImageError, UsageError
from samkit.images import SUFFIXES, opened

LOSSLESS = (".png", ".tif", ".tiff", ".bmp", ".gif")
_PILLOW_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
_MOST_MASKS = 2**16 - 1
_RECORD_BITS = 16


class MaskFolderReader(PairReader):
    """Reads two folders, images and mask pictures, sorted by name."""

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        *,
        kind: Literal["auto", "index", "colour"] = "auto",
        ignore: tuple[int, ...] = (),
    ) -> None:
        """images, masks: folders, searched with their subfolders.

        kind: how values name masks; "auto" takes gray and palette pictures as index, RGB as colour.
        ignore: values that are no mask either, such as 255 for "don't know" (a colour is
        red · 65536 + green · 256 + blue). A record says its value under samkit.value.
        Images without a picture of masks are passed over; a picture without its image is named in
        `broken`. Raises UsageError where a folder is missing.
        """
        super().__init__()
        for folder in (images, masks):
            if not Path(folder).is_dir():
                raise UsageError(f"There is no folder {folder}; check the name.")
        self._kind, self._ignore = kind, (0, *ignore)
        self._images = pictures_in(Path(images), SUFFIXES)
        self._masks = pictures_in(Path(masks), LOSSLESS)

    def _iterate_names(self) -> Iterator[str]:
        for name in sorted(self._masks):
            if name in self._images:
                yield name
            else:
                self._note(name, f"{self._masks[name]} has no image of its name.")

    def _load(self, name: str) -> Pair:
        values = read_values(self._masks[name], self._kind)
        height, width = values.shape
        source = Blob(self._images[name])
        info = ImageInfo(image_id_of(name), width, height, source.file_name)
        numbers = [int(value) for value in np.unique(values) if value not in self._ignore]
        if len(numbers) > _MOST_MASKS:
            raise FormatError(
                f"{self._masks[name]} has {len(numbers)} different values, too many for masks; "
                "it looks like a photograph."
            )
        first = info.image_id << _RECORD_BITS
        if first + len(numbers) > 2**53:
            first = 0
        records = [
            from_mask(values == value, first + place, samkit={"value": value})
            for place, value in enumerate(numbers)
        ]
        return Pair(name, info, records, source)


def pictures_in(folder: Path, suffixes: frozenset[str] | tuple[str, ...]) -> dict[str, Path]:
    """Pictures of a folder and its subfolders, by their names without suffix."""
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in sorted(files):
            path = Path(place, file)
            if not file.startswith(".") and path.suffix.lower() in suffixes:
                found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def read_values(
    path: Path,
    kind: Literal["auto", "index", "colour"],
    *,
    size: tuple[int, int] | None = None,
) -> NDArray[np.int64]:
    """(H, W) values of a mask picture, as they stand in the file; see `MaskFolderReader`.

    size: (H, W) that it must have. Raises FormatError, before pixels are decoded, where it has
    another one or too many pixels, and for what cannot be read.
    """
    try:
        with opened(path, formats=_PILLOW_FORMATS) as image:
            if size is not None and (image.height, image.width) != size:
                raise FormatError(
                    f"{path} has {image.width} x {image.height} pixels, but its image has "
                    f"{size[1]} x {size[0]}."
                )
            gray = image.mode in {"1", "L", "P", "I"} or image.mode.startswith("I;16")
            if not gray and image.mode not in {"RGB", "RGBA"}:
                raise FormatError(
                    f"{path} has pixels of the kind {image.mode}; save it as gray or RGB."
                )
            as_colour = image.mode == "P" and kind == "colour"
            values = np.asarray(image.convert("RGB") if as_colour else image).astype(np.int64)
    except ImageError as error:
        raise FormatError(str(error)) from error
    if values.ndim == 3 and kind == "index":
        if (values[..., :1] != values[..., :3]).any():
            raise FormatError(f"{path} has colours where an index was expected; read it as colour.")
        return values[..., 0]
    if values.ndim == 3:
        return values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    return values
