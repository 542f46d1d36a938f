"""The official `amg.py` layout: a folder for each image, with 0.png … and metadata.csv."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.losses import FURTHER_POINTS, Holds, count_fields
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.whole_folder import whole_folder
from samkit.datasets.writing import PairWriter
from samkit.files import atomic_write
from samkit.masks import rle

METADATA = "metadata.csv"
# Run lengths alone suit masks: on 12 megapixels 3.6 times as fast as Pillow's default, and smaller.
_FOR_MASKS: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}
HEADER = (
    "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
    "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"
)


class PngWriter(PairWriter):
    """Writes OUT/NAME/0.png, 1.png, … (white on black) and OUT/NAME/metadata.csv, in given order.

    A folder appears whole or not at all. The id in metadata.csv is the number of the PNG; the point
    is the first of the record's, and empty where it has none. A folder of something else at
    OUT/NAME raises UsageError.
    """

    def put(self, payload: Payload) -> Path:
        """The folder of an image's masks."""
        target = self.folder / payload.name
        with whole_folder(target, mark=METADATA) as folder:
            for number, record in enumerate(payload.records):
                write_mask(folder / f"{number}.png", rle.decode(record["segmentation"]))
            rows = [_row(number, record) for number, record in enumerate(payload.records)]
            with atomic_write(folder / METADATA, "w") as file:
                file.write("\n".join([HEADER, *rows]) + "\n")
        points = [len(record["point_coords"]) for record in payload.records]
        self.losses[FURTHER_POINTS] += sum(max(0, count - 1) for count in points)
        count_fields(self.losses, payload.records, Holds(scores=True, prompts=True))
        return target


def is_png_done(folder: str | Path, name: str) -> bool:
    """Whether an image's folder of PNGs is there."""
    return (Path(folder) / name / METADATA).is_file()


def write_mask(path: str | Path, mask: NDArray[np.bool_]) -> None:
    """Write a (H, W) bool mask as an 8-bit PNG of 0 and 255, whole or not at all."""
    image = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    with atomic_write(path) as file:
        image.save(file, format="PNG", **_FOR_MASKS)


def _row(number: int, record: Record) -> str:
    point = record["point_coords"][0] if record["point_coords"] else ["", ""]
    values = [
        number,
        record["area"],
        *record["bbox"],
        *point,
        record["predicted_iou"],
        record["stability_score"],
        *record["crop_box"],
    ]
    return ",".join(map(str, values))
