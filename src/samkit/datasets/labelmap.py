"""One 16-bit PNG for an image, in which no masks overlap.

Masks lie over each other by the rule of `layers`. Pixel value 0 is no mask, value k is the k-th
record (from 1) as it was handed in. A mask that smaller ones cover wholly does not appear.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.layers import areas_of, layered
from samkit.datasets.losses import Holds, count_fields, count_hidden
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError, ImageError, UsageError
from samkit.files import atomic_write
from samkit.images import opened

SUFFIX = "_labels.png"
MOST_MASKS = 2**16 - 1


class LabelMapWriter(PairWriter):
    """Writes OUT/NAME_labels.png for each image, whole or not at all.

    More than 65,535 masks of an image raise UsageError.
    """

    def put(self, payload: Payload) -> Path:
        """The PNG of an image."""
        path = self.folder / (payload.name + SUFFIX)
        labels = label_map(payload.records, payload.info.size)
        with atomic_write(path) as file:
            Image.fromarray(labels).save(file, format="PNG")
        count_hidden(self.losses, areas_of(payload.records), labels.astype(np.int32))
        count_fields(self.losses, payload.records, Holds())
        return path


def label_map(records: Sequence[Record], size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16 of records on an image of size (H, W), by the rule of `layers`."""
    if len(records) > MOST_MASKS:
        raise UsageError(
            f"A label map holds at most {MOST_MASKS} masks, not {len(records)}; filter them first."
        )
    return layered(records, size).astype(np.uint16)


def read_label_map(path: str | Path) -> NDArray[np.uint16]:
    """Read a label map back: (H, W) uint16. Raises FormatError for any other kind of picture."""
    try:
        with opened(path, formats=["PNG"]) as image:
            if not image.mode.startswith("I;16"):
                raise FormatError(f"{path} is not a label map: it must be a gray PNG of 16 bits.")
            return np.asarray(image).astype(np.uint16)
    except ImageError as error:
        raise FormatError(str(error)) from error


def is_labelmap_done(folder: str | Path, name: str) -> bool:
    """Whether an image's label map is there."""
    return (Path(folder) / (name + SUFFIX)).is_file()
