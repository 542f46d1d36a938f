"""Folders of images and, for each image, a folder with one picture for each mask, read as pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.document import ImageInfo, image_id_of
from samkit.datasets.folder import LOSSLESS, pictures_in
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.png import HEADER, METADATA
from samkit.datasets.records import check, from_mask
from samkit.errors import FormatError, SamkitError, UsageError
from samkit.images import SUFFIXES, as_mask

_RECORD_BITS = 12
_LARGEST = 1 << 26  # bytes of a metadata.csv


class MaskPicturesReader(PairReader):
    """Reads MASKS/NAME/0.png, 1.png, … beside IMAGES/NAME.jpg, sorted by name.

    This is what `amg.py` and `--format png` write; scores and prompts come from metadata.csv where
    there is one. A pixel belongs to the mask where it is not zero. Masks come in the order of their
    numbers; a record says its picture under samkit.file.
    """

    def __init__(self, images: str | Path, masks: str | Path) -> None:
        """images, masks: folders. Images without a folder of masks are passed over; such a folder
        without its image is named in `broken`. Raises UsageError where a folder is missing.
        """
        super().__init__()
        for folder in (images, masks):
            if not Path(folder).is_dir():
                raise UsageError(f"There is no folder {folder}; check the name.")
        self._images = pictures_in(Path(images), SUFFIXES)
        self._masks = Path(masks)

    def _iterate_names(self) -> Iterator[str]:
        folders = {path.parent for path in pictures_in(self._masks, LOSSLESS).values()}
        names = {folder.relative_to(self._masks).as_posix(): folder for folder in folders}
        for name in sorted(names):
            if name in self._images:
                yield name
            else:
                self._note(name, f"{names[name]} has no image of its name.")

    def _load(self, name: str) -> Pair:
        files = [path for path in (self._masks / name).iterdir() if path.suffix.lower() in LOSSLESS]
        found: list[tuple[str, NDArray[np.bool_]]] = []
        for path in sorted(files, key=lambda path: (len(path.stem), path.name)):  # 10 comes after 2
            try:
                mask = as_mask(path)
                if found and mask.shape != found[0][1].shape:
                    raise FormatError(f"{path} does not have the size of the masks before it.")
                if not mask.any():
                    raise FormatError(f"{path} is empty.")
            except SamkitError as error:
                self._note(f"{name}/{path.name}", str(error))
            else:
                found.append((path.name, mask))
        if not found:
            raise FormatError(f"{self._masks / name} has no mask that can be read.")
        height, width = found[0][1].shape
        source = Blob(self._images[name])
        info = ImageInfo(image_id_of(name), width, height, source.file_name)
        metadata = self._read_metadata(name)
        records = []
        for place, (file, mask) in enumerate(found):
            number = (info.image_id << _RECORD_BITS) + place
            record = from_mask(mask, number, samkit={"file": file})
            try:
                record = check({**record, **metadata.get(file, {})}, info.size)
            except FormatError as error:
                self._note(f"{name}/{METADATA} {file}", str(error))
            records.append(record)
        return Pair(name, info, records, source)

    def _read_metadata(self, name: str) -> dict[str, dict[str, Any]]:
        """Scores and prompts by picture; none where metadata.csv is missing or broken."""
        path = self._masks / name / METADATA
        if not path.is_file():
            return {}
        try:
            lines = Blob(path).read(_LARGEST).decode().splitlines()
            if lines[:1] != [HEADER]:
                raise ValueError
            return dict(_scores(line.split(",")) for line in lines[1:])
        except (FormatError, ValueError) as error:
            reason = f" ({error})" if str(error) else ""
            sentence = (
                f"{path} is not as samkit or amg.py writes it{reason}; its scores are left out."
            )
            self._note(f"{name}/{METADATA}", sentence)
            return {}


def _scores(row: list[str]) -> tuple[str, dict[str, Any]]:
    """(picture, fields of a record) of a row; see `png.HEADER`. Raises ValueError."""
    if len(row) != len(HEADER.split(",")):
        raise ValueError
    point = [float(value) for value in row[6:8] if value]
    return f"{int(row[0])}.png", {
        "point_coords": [point] if point else [],
        "predicted_iou": float(row[8]),
        "stability_score": float(row[9]),
        "crop_box": [float(value) for value in row[10:14]],
    }
