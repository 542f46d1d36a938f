"""What a writer is handed, made ready: an image as a file's bytes, and checked records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samkit.datasets.document import ImageInfo, check_image, image_id_of
from samkit.datasets.pairs import MAX_IMAGE_BYTES, Blob
from samkit.datasets.records import Record, check, from_generated
from samkit.errors import FormatError, UsageError
from samkit.images import SUFFIXES

ImageLike = str | Path | Blob | np.ndarray
"""A photograph's file, a part of a tar, or (H, W, 3) uint8 RGB pixels."""

_RECORD_BITS = 12


@dataclass(frozen=True)
class Payload:
    """A pair on its way into a file; suffix: of the image's file, in lower case."""

    name: str
    info: ImageInfo
    records: list[Record]
    image: Blob | np.ndarray
    suffix: str

    def beside(self) -> "Payload":
        """The same, its image about to be written beside the JSON, under the pair's name.

        Raises UsageError for a file whose suffix does not say that it is an image.
        """
        if self.suffix not in SUFFIXES:
            raise UsageError(
                f"{self.image} has no suffix of an image, by which a store finds it; rename it."
            )
        file_name = self.name.rsplit("/", 1)[-1] + self.suffix
        return replace(self, info=replace(self.info, file_name=file_name))

    def image_bytes(self) -> bytes:
        """The image's file as it is; PNG, without loss, where pixels were given."""
        if isinstance(self.image, Blob):
            return self.image.read(MAX_IMAGE_BYTES)
        file = BytesIO()
        Image.fromarray(self.image).save(file, format="PNG")
        return file.getvalue()


def payload_of(
    image: ImageLike,
    records: Iterable[Mapping[str, Any]],
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    image_id: int | None = None,
) -> Payload:
    """Check and complete what a writer was given; see `StoreWriter.write`."""
    records = list(records)
    source: Blob | np.ndarray
    if isinstance(image, np.ndarray):
        if name is None:
            raise UsageError("An image that comes as an array needs a name to be written under.")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UsageError("An image array to write must be H x W x 3 of uint8 (RGB).")
        source, suffix, size = image, ".png", (image.shape[0], image.shape[1])
        file_name = name.rsplit("/", 1)[-1] + suffix
    else:
        source = image if isinstance(image, Blob) else Blob(Path(image))
        suffix, file_name = source.suffix, source.file_name
        name = Path(file_name).stem if name is None else name
        size = size or _size_of(source, records)
    number = image_id_of(name) if image_id is None else image_id
    try:
        info = check_image(
            {"image_id": number, "width": size[1], "height": size[0], "file_name": file_name}
        )
        ready = [_ready(record, number, place, size) for place, record in enumerate(records)]
    except FormatError as error:
        raise FormatError(f"Cannot write {name}: {error}") from error
    return Payload(name, info, ready, source, suffix)


def _ready(record: Mapping[str, Any], image_id: int, place: int, size: tuple[int, int]) -> Record:
    """Records keep their ids; what comes from the generator has none and gets one."""
    if "id" not in record:
        record = from_generated(record, (image_id << _RECORD_BITS) + place)
    return check(record, size)


def _size_of(source: Blob, records: list[Mapping[str, Any]]) -> tuple[int, int]:
    for record in records:
        segmentation = record.get("segmentation")
        size = segmentation.get("size") if isinstance(segmentation, Mapping) else None
        shape = getattr(segmentation, "shape", size)
        if shape is not None and len(shape) == 2:
            return shape[0], shape[1]
    height, width = source.pixels().shape[:2]
    return height, width
