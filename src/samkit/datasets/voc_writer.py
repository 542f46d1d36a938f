"""Pascal VOC: pictures of objects and of classes, and an XML for each image."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.datasets.labels import class_of
from samkit.datasets.layers import areas_of, layered
from samkit.datasets.losses import (
    CROWDS,
    RESPELT_LABELS,
    SURPLUS_MASKS,
    Holds,
    count_fields,
    count_hidden,
)
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record, is_crowd
from samkit.datasets.voc_files import (
    CLASSES,
    IMAGES,
    LABELMAP,
    MOST,
    OBJECTS,
    XMLS,
    VocObject,
    fitting,
    labelmap_text,
    palette,
    read_labelmap,
    xml_of,
)
from samkit.datasets.writing import PairWriter, copy_image
from samkit.datasets.yolo_names import ClassList
from samkit.errors import UsageError
from samkit.files import atomic_write
from samkit.masks import rle
from samkit.masks.runs import window_of

SETS = "ImageSets/Segmentation"


class VocWriter(PairWriter):
    """Writes SegmentationObject/NAME.png, SegmentationClass/NAME.png and Annotations/NAME.xml.

    Pixel k of SegmentationObject is the k-th object of the XML, from 1; pixel c of
    SegmentationClass the class that labelmap.txt names. Masks lie over each other by the rule of
    `layers`. Only the 254 largest masks of an image have a number, and crowd regions are left out.
    The class is a record's first label, "object" where it has none. ImageSets/Segmentation/all.txt
    lists all names once the writer is closed.
    """

    def __init__(self, folder: str | Path, *, copy_images: bool = False) -> None:
        """folder: OUT. copy_images: whether images are copied into OUT/JPEGImages, with their own
        suffix, or stay where they are. Raises FormatError, UsageError for a labelmap.txt that is
        not as we write it.
        """
        super().__init__(folder)
        self._copy, self._map = copy_images, self.folder / LABELMAP
        known = read_labelmap(self._map) if self._map.is_file() else {}
        self._classes = ClassList({number - 1: name for number, name in known.items()})

    def put(self, payload: Payload) -> Path:
        """The files of an image; returns the picture of objects, which appears last."""
        name = payload.name
        path = self.folder / OBJECTS / f"{name}.png"
        records = self._chosen(payload.records)
        labels = [class_of(record) for record in records]
        names = [fitting(label) for label in labels]
        self._number(names)
        numbers = layered(records, payload.info.size)
        classes = np.array([0, *map(self._class, names)], np.int32)[numbers]
        if self._copy:
            payload = payload.beside()
            target = self.folder / IMAGES / (name + payload.suffix)
            copy_image(payload, target, ours=path.exists())
        objects = [
            VocObject(name, _box(record)) for name, record in zip(names, records, strict=True)
        ]
        with atomic_write(self.folder / XMLS / f"{name}.xml") as file:
            file.write(xml_of(payload.info.file_name, payload.info.size, objects))
        _save(self.folder / CLASSES / f"{name}.png", classes)
        _save(path, numbers)
        respelt = sum(label != name for label, name in zip(labels, names, strict=True))
        if respelt:
            self.losses[RESPELT_LABELS] += respelt
        count_hidden(self.losses, areas_of(records), numbers)
        count_fields(self.losses, records, Holds(labels="first"))
        return path

    def close(self) -> None:
        """List the names of all images."""
        folder = self.folder / OBJECTS
        names = sorted(
            path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.png")
        )
        with atomic_write(self.folder / SETS / "all.txt", "w") as file:
            file.write("".join(f"{name}\n" for name in names))

    def _chosen(self, records: list[Record]) -> list[Record]:
        """Those that get a number, in order."""
        things = [record for record in records if not is_crowd(record)]
        if crowds := len(records) - len(things):
            self.losses[CROWDS] += crowds
        areas = areas_of(things)
        largest = sorted(range(len(things)), key=lambda place: -areas[place])[:MOST]
        if surplus := len(things) - len(largest):
            self.losses[SURPLUS_MASKS] += surplus
        return [things[place] for place in sorted(largest)]

    def _number(self, names: list[str]) -> None:
        """Give numbers to new classes, and write that down before they are used."""
        if self._classes.add(names) or not self._map.exists():
            if len(self._classes) > MOST:
                raise UsageError(f"VOC holds at most {MOST} classes; choose another format.")
            with atomic_write(self._map, "w") as file:
                file.write(labelmap_text(self._classes.names))

    def _class(self, name: str) -> int:
        return self._classes.number(name) + 1


def is_voc_done(folder: str | Path, name: str) -> bool:
    """Whether an image's picture of objects is in OUT already."""
    return (Path(folder) / OBJECTS / f"{name}.png").is_file()


def _box(record: Record) -> tuple[int, int, int, int] | None:
    mask = rle.decode(record["segmentation"])
    window = window_of(mask)
    if not mask.any():
        return None
    return window.left + 1, window.top + 1, window.right, window.bottom


def _save(path: Path, numbers: NDArray[np.int32]) -> None:
    picture = Image.fromarray(numbers.astype(np.uint8))
    picture.putpalette(palette())
    with atomic_write(path) as file:
        picture.save(file, format="PNG")
