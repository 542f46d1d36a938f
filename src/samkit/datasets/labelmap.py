"""One 16-bit PNG for an image, in which no masks overlap.

The rule: masks are laid down from the largest to the smallest, so a smaller one lies on top of a
larger one; of two equally large ones, the later lies on top. Pixel value 0 is no mask, value k is
the k-th record (from 1) as it was handed in. A mask that smaller ones cover wholly does not appear.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.document import check_name
from samkit.datasets.payload import ImageLike, payload_of
from samkit.datasets.records import Record
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write
from samkit.images import MAX_PIXELS
from samkit.masks import rle

SUFFIX = "_labels.png"
MOST_MASKS = 2**16 - 1


class LabelMapWriter:
    """Writes OUT/NAME_labels.png for each image, whole or not at all."""

    def __init__(self, folder: str | Path) -> None:
        """folder: OUT, made where it is missing."""
        self.folder = Path(folder)

    def __enter__(self) -> "LabelMapWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(
        self,
        image: ImageLike,
        records: Iterable[Mapping[str, Any]],
        *,
        name: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> Path:
        """Write an image's masks and return the PNG; arguments and errors as in `StoreWriter`.

        Raises UsageError for more than 65,535 masks.
        """
        payload = payload_of(image, records, name=name, size=size)
        path = self.folder / (check_name(payload.name) + SUFFIX)
        labels = label_map(payload.records, payload.info.size)
        with atomic_write(path) as file:
            Image.fromarray(labels).save(file, format="PNG")
        return path

    def close(self) -> None:
        """Nothing is left to do; every file is whole already."""


def label_map(records: Sequence[Record], size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16 of records on an image of size (H, W), by the rule of this module."""
    if len(records) > MOST_MASKS:
        raise UsageError(
            f"A label map holds at most {MOST_MASKS} masks, not {len(records)}; filter them first."
        )
    labels = np.zeros(size, dtype=np.uint16)
    for place in sorted(range(len(records)), key=lambda k: -rle.area(records[k]["segmentation"])):
        labels[rle.decode(records[place]["segmentation"])] = place + 1
    return labels


def read_label_map(path: str | Path) -> NDArray[np.uint16]:
    """Read a label map back: (H, W) uint16. Raises FormatError for any other kind of picture."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > MAX_PIXELS or not image.mode.startswith("I;16"):
                raise FormatError(f"{path} is not a label map: it must be a gray PNG of 16 bits.")
            return np.asarray(image).astype(np.uint16)
    except FormatError:
        raise
    except Exception as error:  # decoders of damaged files raise almost anything
        raise FormatError(f"{path} is not a PNG that can be read; write it again.") from error


def is_labelmap_done(folder: str | Path, name: str) -> bool:
    """Whether an image's label map is there."""
    return (Path(folder) / (name + SUFFIX)).is_file()
