"""COCO instances: one JSON for all images of a folder, written so that nothing is lost on the way.

Each image's masks first go into a small file of their own, OUT/.parts/NAME.json (a store's JSON),
whole or not at all. At the end all parts are joined into OUT/instances.json, which is replaced in
one step. A run that was killed has its parts, and a later one adds to them; the parts stay, for
they say which images are done.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pycocotools import mask as coco_mask

from samkit.datasets.document import MAX_JSON_BYTES, ImageInfo, parse_document
from samkit.datasets.pairs import Blob
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.store import StoreWriter, is_store_json
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write

FILE = "instances.json"
PARTS = ".parts"
CATEGORY = {"id": 1, "name": "object", "supercategory": "object"}
_HEAD = b'{"info":{"description":"samkit"},'


class CocoWriter(PairWriter):
    """Writes OUT/instances.json; use it in a `with` block, at whose end the file appears.

    Images are numbered from 1 in the order of their names, annotations from 1; both may change when
    images are added. Box and area are the mask's own, counted as COCO does. The predicted IoU
    stands as "score" too, and the other fields of a record under their own names.
    """

    def __init__(self, folder: str | Path) -> None:
        """folder: OUT. Raises UsageError where an instances.json stands that is not ours."""
        super().__init__(folder)
        self._parts = StoreWriter(self.folder / PARTS, copy_images=False)
        target = self.folder / FILE
        if target.exists() and not _is_ours(target):
            raise UsageError(f"{target} was not written by samkit; choose another folder.")

    def put(self, payload: Payload) -> Path:
        """Keeps an image's masks as a part: the JSON of a store."""
        if not isinstance(payload.image, Blob):
            raise UsageError("COCO names the files of images; give a file, not an array.")
        return self._parts.put(payload)

    def close(self) -> None:
        """Join all parts into instances.json. Raises FormatError for a part that is broken."""
        parts = sorted(_parts_in(self.folder / PARTS))
        images = []
        with atomic_write(self.folder / FILE) as file:
            file.write(_HEAD + b'"categories":[' + _dump(CATEGORY) + b'],"annotations":[')
            number = 1
            for image_id, (name, path) in enumerate(parts, start=1):
                info, records = _read_part(path)
                images.append(_image(info, image_id, name))
                number = _write_annotations(file, records, image_id, number)
            file.write(b'],"images":' + _dump(images) + b"}\n")


def is_coco_done(folder: str | Path, name: str) -> bool:
    """Whether an image's masks are kept in OUT already."""
    return is_store_json(Path(folder) / PARTS / f"{name}.json")


def _parts_in(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.json"):
        yield path.relative_to(folder).as_posix().removesuffix(".json"), path


def _read_part(path: Path) -> tuple[ImageInfo, list[Record]]:
    try:
        document = parse_document(Blob(path).read(MAX_JSON_BYTES))
    except FormatError as error:
        raise FormatError(f"{path} is damaged; delete it and run again. ({error})") from error
    if document.broken:
        place, sentence = document.broken[0]
        raise FormatError(f"{path} is damaged; delete it and run again. ({place}: {sentence})")
    return document.image, document.records


def _image(info: ImageInfo, image_id: int, name: str) -> dict[str, Any]:
    path = PurePosixPath(name).parent / info.file_name
    return {"id": image_id, "width": info.width, "height": info.height, "file_name": str(path)}


def _write_annotations(file: IO[bytes], records: list[Record], image_id: int, number: int) -> int:
    """Write an image's annotations, numbered from `number`; returns the next number."""
    for record in records:
        file.write((b"," if number > 1 else b"") + _dump(_annotation(record, image_id, number)))
        number += 1
    return number


def _annotation(record: Record, image_id: int, number: int) -> dict[str, Any]:
    segmentation = record["segmentation"]
    own = record.get("samkit", {})
    return {
        "id": number,
        "image_id": image_id,
        "category_id": CATEGORY["id"],
        "segmentation": segmentation,
        "area": int(coco_mask.area(segmentation)),
        "bbox": coco_mask.toBbox(segmentation).tolist(),
        "iscrowd": int(own.get("crowd") is True),
        "score": record["predicted_iou"],
        "predicted_iou": record["predicted_iou"],
        "stability_score": record["stability_score"],
        "point_coords": record["point_coords"],
        "crop_box": record["crop_box"],
        **({"samkit": own} if own else {}),
    }


def _dump(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HEAD)) == _HEAD
