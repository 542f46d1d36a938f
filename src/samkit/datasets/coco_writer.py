"""COCO instances: one JSON for all images of a folder, written so that nothing is lost on the way.

See `parts` for how. Segmentations are compressed RLE, or polygons along the borders of pixels, of
which pycocotools makes the same masks; one for each part, holes on bridges of no width. A mask
without a pixel has no polygon and is left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pycocotools import mask as coco_mask

from samkit.datasets.labels import added_fields, class_of
from samkit.datasets.layers import areas_of
from samkit.datasets.losses import EMPTY_MASKS
from samkit.datasets.outlines import outlines
from samkit.datasets.parts import CocoJsonWriter, is_part_done
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record, is_crowd
from samkit.masks import rle

FILE = "instances.json"
POLYGONS_FILE = "instances_polygons.json"
PARTS = ".parts"
POLYGONS_PARTS = ".parts-polygons"


class CocoWriter(CocoJsonWriter):
    """Writes OUT/instances.json; use it in a `with` block, at whose end the file appears.

    Images are numbered from 1 in the order of their names, annotations from 1; both may change when
    images are added. The category is a record's first label, "object" where it has none. Box and
    area are the mask's own, counted as COCO does. The predicted IoU stands as "score" too, and the
    other fields of a record under their own names, by which `CocoReader` gives back all of it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        copy_images: bool = False,
        masks: Literal["rle", "polygons"] = "rle",
    ) -> None:
        """folder: OUT. copy_images: whether images are copied into OUT/images, or stay where they
        are. masks: how they are written; polygons go into OUT/instances_polygons.json.

        Raises UsageError where a JSON of that name stands that is not ours.
        """
        file, parts = (FILE, PARTS) if masks == "rle" else (POLYGONS_FILE, POLYGONS_PARTS)
        super().__init__(folder, file=file, parts=parts, copy_images=copy_images)
        self._as_polygons = masks == "polygons"
        self._number = 0

    def put(self, payload: Payload) -> Path:
        """Keeps an image's masks as a part: the JSON of a store."""
        part = super().put(payload)
        if self._as_polygons and (empty := sum(not area for area in areas_of(payload.records))):
            self.losses[EMPTY_MASKS] += empty
        return part

    def close(self) -> None:
        """Join all parts into the JSON. Raises FormatError for a part that is broken."""
        self._number = 0
        super().close()

    def annotations(
        self, records: list[Record], name: str, image_id: int, categories: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        """An image's annotations."""
        for record in records:
            segmentation: Any = record["segmentation"]
            if self._as_polygons:
                lines = outlines(rle.decode(segmentation))
                segmentation = [line.reshape(-1).tolist() for line in lines]
                if not lines:  # a mask without a pixel has no outline
                    continue
            self._number += 1
            yield {
                "id": self._number,
                "image_id": image_id,
                "category_id": categories[class_of(record)],
                "segmentation": segmentation,
                "area": int(coco_mask.area(record["segmentation"])),
                "bbox": coco_mask.toBbox(record["segmentation"]).tolist(),
                "iscrowd": int(is_crowd(record)),
                "score": record["predicted_iou"],
                **added_fields(record),
            }


def is_coco_done(folder: str | Path, name: str) -> bool:
    """Whether an image's masks are kept in OUT already."""
    return is_part_done(Path(folder) / PARTS, name)


def is_coco_polygons_done(folder: str | Path, name: str) -> bool:
    """The same of masks written as polygons."""
    return is_part_done(Path(folder) / POLYGONS_PARTS, name)
