"""YOLO segmentation (ultralytics): labels/NAME.txt with a line for each mask, and data.yaml.

A line is `class x1 y1 x2 y2 …`, corners of one outline as fractions of the image's width and
height. The outline runs along the borders of pixels, so it is exact; holes and further parts hang
on bridges of no width (see `outlines`), as ultralytics joins the parts of COCO's masks itself.
"""

from pathlib import Path

import numpy as np

from samkit.datasets.labels import class_of
from samkit.datasets.losses import (
    CHANGED_PIXELS,
    CROWDS,
    EMPTY_MASKS,
    Holds,
    Losses,
    count_fields,
)
from samkit.datasets.outlines import outline
from samkit.datasets.payload import Payload
from samkit.datasets.polygons import polygons_to_mask
from samkit.datasets.records import Record, is_crowd
from samkit.datasets.writing import PairWriter, copy_image
from samkit.datasets.yolo_names import DATA, ClassList, data_yaml, read_names
from samkit.errors import UsageError
from samkit.files import atomic_write
from samkit.masks import rle

IMAGES, LABELS = "images", "labels"
_HEAD = "# written by samkit\n"


class YoloWriter(PairWriter):
    """Writes OUT/labels/NAME.txt, and OUT/data.yaml with the names of the classes so far.

    The class is a record's first label, "object" where it has none. Crowd regions, which a detector
    must not learn, and masks without a pixel are left out.
    """

    def __init__(self, folder: str | Path, *, copy_images: bool = False) -> None:
        """folder: OUT. copy_images: whether images are copied into OUT/images, where YOLO looks for
        them, or stay where they are.

        Raises UsageError where a data.yaml stands that is not ours.
        """
        super().__init__(folder)
        self._copy, self._data = copy_images, self.folder / DATA
        ours = _is_ours(self._data)
        if self._data.exists() and not ours:
            raise UsageError(f"{self._data} was not written by samkit; choose another folder.")
        self._classes = ClassList(read_names(self._data) if ours else {})

    def put(self, payload: Payload) -> Path:
        """The labels of an image."""
        path = self.folder / LABELS / f"{payload.name}.txt"
        records = [record for record in payload.records if not is_crowd(record)]
        if self._classes.add([class_of(record) for record in records]) or not self._data.exists():
            with atomic_write(self._data, "w") as file:
                file.write(_HEAD + data_yaml(self._classes.names))
        losses, lines = Losses(), []
        for record in records:
            corners = outline(rle.decode(record["segmentation"]))
            if len(corners):
                line = _line(corners, payload.info.size)
                lines.append(f"{self._classes.number(class_of(record))} {line}\n")
                losses[CHANGED_PIXELS] += _changed(line, record, payload.info.size)
            else:
                losses[EMPTY_MASKS] += 1
        losses[CROWDS] += len(payload.records) - len(records)
        count_fields(losses, records, Holds(labels="first"))
        if self._copy:
            target = self.folder / IMAGES / (payload.name + payload.beside().suffix)
            copy_image(payload, target, ours=path.exists())
        with atomic_write(path, "w") as file:
            file.write("".join(lines))
        self.losses.update(losses)
        return path

    def close(self) -> None:
        """Write data.yaml also where there was no image."""
        if not self._data.exists():
            with atomic_write(self._data, "w") as file:
                file.write(_HEAD + data_yaml(self._classes.names))


def is_yolo_done(folder: str | Path, name: str) -> bool:
    """Whether an image's labels are in OUT already."""
    return (Path(folder) / LABELS / f"{name}.txt").is_file()


def corners_of(values: list[float], size: tuple[int, int]) -> list[float]:
    """x0, y0, x1, y1, … in pixels of corners that are fractions of an image of size (H, W)."""
    height, width = size
    scale = np.tile([width, height], len(values) // 2)
    pixels: list[float] = (np.array(values) * scale).tolist()
    return pixels


def _line(corners: np.ndarray, size: tuple[int, int]) -> str:
    height, width = size
    fractions = (corners / np.array([width, height])).reshape(-1).tolist()
    return " ".join(f"{value:.9g}" for value in fractions)


def _changed(line: str, record: Record, size: tuple[int, int]) -> int:
    """Pixels in which the mask that is read again differs."""
    again = polygons_to_mask([corners_of([float(v) for v in line.split()], size)], size)
    return int((again != rle.decode(record["segmentation"])).sum())


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_HEAD)) == _HEAD.encode()
