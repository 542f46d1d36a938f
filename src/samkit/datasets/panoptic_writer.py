"""COCO panoptic: one JSON for all images, and a PNG for each whose colours are numbers of masks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.labels import added_fields, class_of
from samkit.datasets.layers import areas_of, layered
from samkit.datasets.losses import count_hidden
from samkit.datasets.parts import CocoJsonWriter, is_part_done
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record, check, from_mask, is_crowd
from samkit.errors import UsageError
from samkit.files import atomic_write

FILE = "panoptic.json"
PICTURES = "panoptic"
PARTS = ".parts-panoptic"
_MOST_MASKS = 2**24 - 1


class PanopticWriter(CocoJsonWriter):
    """Writes OUT/panoptic.json and OUT/panoptic/NAME.png; use it in a `with` block.

    A pixel's number is red + 256 green + 65,536 blue: k for the k-th of an image's records, from 1,
    and 0 for none. Masks lie over each other by the rule of `layers`; one that others cover wholly
    has no segment. The category is a record's first label, "object" where it has none, and the
    other fields of a record stand in its segments_info, by which `PanopticReader` gives them back.
    """

    def __init__(self, folder: str | Path, *, copy_images: bool = False) -> None:
        """folder: OUT. copy_images: whether images are copied into OUT/images, or stay where they
        are. Raises UsageError where a panoptic.json stands that is not ours.
        """
        super().__init__(folder, file=FILE, parts=PARTS, copy_images=copy_images)

    def put(self, payload: Payload) -> Path:
        """Writes the PNG of an image, and keeps its segments as a part."""
        records = payload.records
        if len(records) > _MOST_MASKS:
            raise UsageError(f"A panoptic picture holds at most {_MOST_MASKS} masks.")
        numbers = layered(records, payload.info.size)
        picture = self.folder / PICTURES / f"{payload.name}.png"
        if picture.exists() and not is_part_done(self.folder / PARTS, payload.name):
            raise UsageError(f"{picture} was not written by samkit; choose another folder.")
        part = super().put(replace(payload, records=_segments(records, numbers)))
        with atomic_write(picture) as file:  # after the part, by which it is known to be ours
            Image.fromarray(_colours(numbers)).save(file, format="PNG")
        count_hidden(self.losses, areas_of(records), numbers)
        return part

    def category(self, name: str, number: int) -> dict[str, Any]:
        """An entry of the list of categories; all of ours are things."""
        return {**super().category(name, number), "isthing": 1}

    def annotations(
        self, records: list[Record], name: str, image_id: int, categories: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        """An image's only annotation."""
        segments = [
            {
                "id": record["id"],
                "category_id": categories[class_of(record)],
                "area": record["area"],
                "bbox": [int(side) for side in record["bbox"]],
                "iscrowd": int(is_crowd(record)),
                **added_fields(record),
            }
            for record in records
        ]
        yield {"image_id": image_id, "file_name": f"{name}.png", "segments_info": segments}


def is_panoptic_done(folder: str | Path, name: str) -> bool:
    """Whether an image's PNG and segments are in OUT already."""
    picture = Path(folder) / PICTURES / f"{name}.png"
    return is_part_done(Path(folder) / PARTS, name) and picture.is_file()


def _colours(numbers: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=-1).astype(np.uint8)


def _segments(records: list[Record], numbers: NDArray[np.int32]) -> list[Record]:
    """What is seen of each record, as records whose ids are their numbers in the picture."""
    seen = []
    for number in np.unique(numbers[numbers > 0]).tolist():
        shape: dict[str, Any] = dict(from_mask(numbers == number, number))
        kept = {key: shape[key] for key in ("id", "bbox", "area", "segmentation")}
        seen.append(check({**records[number - 1], **kept}, numbers.shape))
    return seen
