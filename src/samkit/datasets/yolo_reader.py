"""YOLO segmentation (ultralytics) read as pairs: images/NAME.jpg and labels/NAME.txt."""

from collections.abc import Iterator
from pathlib import Path

from samkit.datasets.document import ImageInfo, check_image, image_id_of
from samkit.datasets.folder import pictures_in
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.polygons import polygons_to_mask
from samkit.datasets.records import Record, from_mask
from samkit.datasets.yolo_names import CLASSES, find_names
from samkit.datasets.yolo_writer import IMAGES, LABELS, corners_of
from samkit.errors import FormatError, UsageError
from samkit.images import SUFFIXES

_RECORD_BITS = 12
_MOST_BYTES = 1 << 27


class YoloReader(PairReader):
    """Reads a folder with images/ and labels/, sorted by name.

    Each line of a labels file, `class x1 y1 x2 y2 …` in fractions of the upright image, is a mask
    by the rule of the COCO API; its class's name (its number, where data.yaml or classes.txt do not
    say one) stands under samkit.labels. An image without a labels file has no masks, as ultralytics
    takes it. Lines that are boxes or make no sense are named in `broken`.
    """

    def __init__(self, folder: str | Path, *, images: str | Path | None = None) -> None:
        """folder: with labels/. images: where the images lie if not in images/ beside it.

        Raises UsageError where a folder is missing.
        """
        super().__init__()
        self.labels = Path(folder) / LABELS
        pictures = Path(folder) / IMAGES if images is None else Path(images)
        for place in (self.labels, pictures):
            if not place.is_dir():
                raise UsageError(f"There is no folder {place}; check the name.")
        self._images = pictures_in(pictures, SUFFIXES)
        try:
            self._names_of = find_names(Path(folder))
        except FormatError as error:
            self._names_of = {}
            self._note("names", str(error))

    def _iterate_names(self) -> Iterator[str]:
        for name in sorted(self._images.keys() | pictures_in(self.labels, (".txt",)).keys()):
            if name in self._images:
                yield name
            elif name != CLASSES:
                self._note(name, f"{self.labels / name}.txt has no image of its name.")

    def _load(self, name: str) -> Pair:
        source = Blob(self._images[name])
        height, width = source.head().size
        number = image_id_of(name)
        info = check_image(
            {"image_id": number, "width": width, "height": height, "file_name": source.file_name}
        )
        return Pair(name, info, list(self._records(name, info)), source)

    def _records(self, name: str, info: ImageInfo) -> Iterator[Record]:
        path = self.labels / f"{name}.txt"
        if not path.exists():
            return
        text = Blob(path).read(_MOST_BYTES).decode("ascii", "replace")
        for place, line in enumerate(text.splitlines()):
            try:
                if line.strip():
                    yield self._record(line, (info.image_id << _RECORD_BITS) + place, info.size)
            except FormatError as error:
                self._note(f"{name} line {place + 1}", f"{path}: {error}")

    def _record(self, line: str, record_id: int, size: tuple[int, int]) -> Record:
        first, *rest = line.split()
        try:
            number, values = int(first), [float(value) for value in rest]
        except ValueError as error:
            raise FormatError("A line must be a class and numbers x1 y1 x2 y2 ….") from error
        if number < 0:
            raise FormatError("A class must be a number from 0.")
        if len(values) == 4:
            raise FormatError("A line is a box, which makes no mask.")
        if len(values) % 2:
            raise FormatError("A line must have an x and a y for each corner.")
        mask = polygons_to_mask([corners_of(values, size)], size)
        if not mask.any():
            raise FormatError("The mask has no pixel inside the image.")
        label = self._names_of.get(number, str(number))
        return from_mask(mask, record_id, samkit={"labels": [label]})
