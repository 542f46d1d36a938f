"""COCO panoptic (one JSON, and a PNG of numbers for each image) read as pairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.coco_json import CocoJsonReader, Entry
from samkit.datasets.coco_reader import as_crowd
from samkit.datasets.document import ImageInfo, check_name
from samkit.datasets.folder import read_values
from samkit.datasets.labels import with_added_fields
from samkit.datasets.records import Record
from samkit.errors import FormatError, SamkitError, UsageError

_RECORD_BITS = 24  # of a segment's number


class PanopticReader(CocoJsonReader):
    """Reads a COCO panoptic JSON, its pictures and its folder of images, in the order of names.

    A pixel's number is red + 256 green + 65,536 blue. Each segment is a record in the order of
    segments_info; its category's name stands under samkit.labels. Crowd regions are left out unless
    asked for. Numbers of a picture that no segment names are no masks, as 0 is none.
    """

    def __init__(
        self,
        file: str | Path,
        images: str | Path | None = None,
        *,
        pictures: str | Path | None = None,
        keep_crowds: bool = False,
    ) -> None:
        """file, images: as `CocoJsonReader`. pictures: the folder of the PNGs; by itself the one
        that has the name of the JSON and lies beside it. keep_crowds: whether crowd regions are
        records too.
        """
        super().__init__(file, images)
        self.pictures = self.file.with_suffix("") if pictures is None else Path(pictures)
        self._keep_crowds = keep_crowds
        if self._annotations and not self.pictures.is_dir():
            raise UsageError(f"There is no folder {self.pictures} with the pictures of {file}.")

    def _records(self, info: ImageInfo, annotations: list[Entry]) -> list[Record]:
        if len(annotations) != 1:
            raise FormatError(
                f"{self.file}: The image {info.image_id} has {len(annotations)} annotations "
                "instead of one."
            )
        place, annotation = annotations[0]
        numbers = self._numbers(annotation, info)
        segments = annotation.get("segments_info")
        if not isinstance(segments, list):
            raise FormatError(f"{self.file}: Annotation {place} has no list segments_info.")
        records = []
        for index, segment in enumerate(segments):
            try:
                record = self._record(segment, numbers, info.image_id)
            except FormatError as error:
                self._note(f"annotation {place} segment {index}", f"{self.file}: {error}")
                continue
            if segment.get("iscrowd") != 1:
                records.append(record)
            elif self._keep_crowds:
                records.append(as_crowd(record))
        return records

    def _numbers(self, annotation: Mapping[str, Any], info: ImageInfo) -> NDArray[np.int64]:
        name = annotation.get("file_name")
        if not isinstance(name, str):
            raise FormatError(f"{self.file}: An annotation has no file_name.")
        try:
            picture = self.pictures / check_name(name)
        except SamkitError as error:
            raise FormatError(f"{self.file}: {error}") from error
        values = read_values(picture, "colour", size=info.size)
        return values & 255 << 8 | values >> 16 | values << 16 & 255 << 16  # there red is highest

    def _record(self, segment: Any, numbers: NDArray[np.int64], image_id: int) -> Record:
        if not isinstance(segment, Mapping) or type(segment.get("id")) is not int:
            raise FormatError("A segment must be a JSON object with an id.")
        number = segment["id"]
        mask = numbers == number
        if number <= 0 or not mask.any():
            raise FormatError(f"The segment {number} has no pixel in its picture.")
        record_id = (abs(image_id) << _RECORD_BITS) + number
        return with_added_fields(
            mask, record_id if record_id <= 2**53 else number, segment, self._label(segment)
        )
