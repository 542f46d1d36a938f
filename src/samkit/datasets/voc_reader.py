"""Pascal VOC's segmentations read as pairs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.document import check_image, image_id_of
from samkit.datasets.folder import pictures_in, read_values
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.records import from_mask
from samkit.datasets.voc_files import (
    CLASSES,
    CLASSES_2012,
    IMAGES,
    LABELMAP,
    OBJECTS,
    VOID,
    XMLS,
    commonest,
    read_labelmap,
    read_xml,
)
from samkit.errors import FormatError, SamkitError, UsageError
from samkit.images import SUFFIXES

_RECORD_BITS = 12


class VocReader(PairReader):
    """Reads SegmentationObject/NAME.png beside JPEGImages/NAME.jpg, sorted by name.

    Each value but 0 and 255 (void: borders, and what nobody marked) is one mask. Its label is the
    name of that object in Annotations/NAME.xml, or else the commonest value in
    SegmentationClass/NAME.png, by labelmap.txt or the classes of VOC 2012. Without either it has
    none.
    """

    def __init__(self, folder: str | Path, *, images: str | Path | None = None) -> None:
        """folder: such as VOC2012. images: where the images lie if not in JPEGImages.

        Raises UsageError where a folder is missing.
        """
        super().__init__()
        self.folder = Path(folder)
        pictures = self.folder / IMAGES if images is None else Path(images)
        for place in (self.folder / OBJECTS, pictures):
            if not place.is_dir():
                raise UsageError(f"There is no folder {place}; check the name.")
        self._images = pictures_in(pictures, SUFFIXES)
        self._objects = pictures_in(self.folder / OBJECTS, (".png",))
        self._classes = self._read_classes()

    def _read_classes(self) -> dict[int, str]:
        path = self.folder / LABELMAP
        if not path.is_file():
            return dict(enumerate(CLASSES_2012, start=1))
        try:
            return read_labelmap(path)
        except FormatError as error:
            self._note(LABELMAP, str(error))
            return {}

    def _iterate_names(self) -> Iterator[str]:
        for name in sorted(self._objects):
            if name in self._images:
                yield name
            else:
                self._note(name, f"{self._objects[name]} has no image of its name.")

    def _load(self, name: str) -> Pair:
        numbers = read_values(self._objects[name], "index")
        height, width = numbers.shape
        source = Blob(self._images[name])
        number = image_id_of(name)
        info = check_image(
            {"image_id": number, "width": width, "height": height, "file_name": source.file_name}
        )
        if numbers.max() > VOID:
            raise FormatError(f"{self._objects[name]} has values above {VOID}; VOC has none.")
        present = [value for value in np.unique(numbers).tolist() if value not in (0, VOID)]
        labels = self._labels(name, numbers, present)
        first = info.image_id << _RECORD_BITS
        records = [
            from_mask(
                numbers == value, first + value, samkit={"labels": [label]} if label else None
            )
            for value, label in zip(present, labels, strict=True)
        ]
        return Pair(name, info, records, source)

    def _labels(
        self, name: str, numbers: NDArray[np.int64], present: list[int]
    ) -> list[str | None]:
        """The label of each number that is present."""
        xml = self.folder / XMLS / f"{name}.xml"
        picture = self.folder / CLASSES / f"{name}.png"
        try:
            if xml.is_file() and len(names := read_xml(xml)) >= max(present, default=0):
                return [names[number - 1] or None for number in present]
            if picture.is_file():
                classes = read_values(picture, "index", size=(numbers.shape[0], numbers.shape[1]))
                found = [commonest(classes[numbers == number]) for number in present]
                return [self._classes.get(value) for value in found]
        except SamkitError as error:
            self._note(f"{name} labels", str(error))
        return [None] * len(present)
