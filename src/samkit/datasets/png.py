"""The official `amg.py` layout: a folder for each image, with 0.png … and metadata.csv."""

import contextlib
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.writing import PairWriter
from samkit.errors import SamkitError, UsageError
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
        with _whole_folder(target) as folder:
            for number, record in enumerate(payload.records):
                write_mask(folder / f"{number}.png", rle.decode(record["segmentation"]))
            rows = [_row(number, record) for number, record in enumerate(payload.records)]
            with atomic_write(folder / METADATA, "w") as file:
                file.write("\n".join([HEADER, *rows]) + "\n")
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


@contextlib.contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name only when the block has ended without an exception."""
    if target.exists() and not (target / METADATA).is_file():
        raise UsageError(f"{target} is there already and holds something else; choose another -o.")
    token = secrets.token_hex(8)
    fresh, old = (target.with_name(f".samkit-{token}.{kind}") for kind in ("tmp", "old"))
    try:
        try:
            fresh.mkdir(parents=True)
        except OSError as error:
            raise _cannot_write(target, error) from error
        yield fresh
        try:
            if target.exists():
                os.rename(target, old)
            os.rename(fresh, target)
        except OSError as error:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _cannot_write(target: Path, error: OSError) -> SamkitError:
    return SamkitError(f"Cannot write {target}: {error.strerror}; choose another place.")
