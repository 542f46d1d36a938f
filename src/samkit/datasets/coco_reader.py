"""COCO instances (one JSON for many images) read as pairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.coco_json import CocoJsonReader, Entry
from samkit.datasets.document import ImageInfo
from samkit.datasets.labels import with_added_fields
from samkit.datasets.polygons import polygons_to_mask
from samkit.datasets.records import OWN_KEY, Record, own_of
from samkit.errors import FormatError
from samkit.masks import rle


class CocoReader(CocoJsonReader):
    """Reads a COCO instances JSON and its folder of images, in the order of the names.

    Masks may be polygons, uncompressed or compressed RLE. A record's id is the annotation's, its
    category's name stands under samkit.labels, and a crowd region (iscrowd 1: many objects under
    one mask) is left out unless asked for, and then says samkit.crowd. What `CocoWriter` wrote
    comes back with scores, prompts and all.
    """

    def __init__(
        self, file: str | Path, images: str | Path | None = None, *, keep_crowds: bool = False
    ) -> None:
        """As `CocoJsonReader`. keep_crowds: whether crowd regions are records too."""
        super().__init__(file, images)
        self._keep_crowds = keep_crowds

    def _records(self, info: ImageInfo, annotations: list[Entry]) -> list[Record]:
        records = []
        for place, annotation in annotations:
            crowd = annotation.get("iscrowd") == 1
            if crowd and not self._keep_crowds:
                continue
            try:
                mask = _mask(annotation, info.size)
                number = annotation.get("id", place + 1)
                record = with_added_fields(mask, number, annotation, self._label(annotation))
            except FormatError as error:
                self._note(f"annotation {place}", f"{self.file}: {error}")
                continue
            records.append(as_crowd(record) if crowd else record)
        return records


def as_crowd(record: Record) -> Record:
    """The record, saying that it is a crowd region."""
    return {**record, "samkit": {**own_of(record), "crowd": True}}


def _mask(annotation: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    segmentation: Any = annotation.get("segmentation")
    if isinstance(segmentation, list):
        mask = polygons_to_mask(segmentation, size)
    else:
        mask = rle.decode(segmentation)
        if mask.shape != size:
            raise FormatError("The mask does not have the size of its image.")
        if OWN_KEY in annotation:  # we write masks without a pixel too
            return mask
    if not mask.any():
        raise FormatError("The mask has no pixel inside the image.")
    return mask
