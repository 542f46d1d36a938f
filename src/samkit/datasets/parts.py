"""One JSON for all images, made of parts, so that nothing is lost on the way.

Each image's masks first go into a small file of their own, OUT/.parts/NAME.json (a store's JSON),
whole or not at all. At the end all parts are joined into one JSON as COCO has it, which is replaced
in one step. A run that was killed has its parts, and a later one adds to them; the parts stay, for
they say which images are done.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from samkit.datasets.document import MAX_JSON_BYTES, ImageInfo, parse_document
from samkit.datasets.labels import UNLABELLED, class_of
from samkit.datasets.pairs import Blob
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.store import StoreWriter, is_store_json
from samkit.datasets.writing import PairWriter, copy_image
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write

IMAGES = "images"
_HEAD = b'{"info":{"description":"samkit"},'


class CocoJsonWriter(PairWriter):
    """Writes one JSON with images, categories and annotations; use it in a `with` block."""

    def __init__(self, folder: str | Path, *, file: str, parts: str, copy_images: bool) -> None:
        """folder: OUT. file: name of the JSON. parts: name of the folder of parts. copy_images:
        whether images are copied into OUT/images.

        Raises UsageError where a JSON of that name stands that is not ours.
        """
        super().__init__(folder)
        self._file, self._copy = self.folder / file, copy_images
        self._parts = StoreWriter(self.folder / parts, copy_images=False)
        if self._file.exists() and not _is_ours(self._file):
            raise UsageError(f"{self._file} was not written by samkit; choose another folder.")

    def put(self, payload: Payload) -> Path:
        """Keeps an image's masks as a part: the JSON of a store."""
        if not isinstance(payload.image, Blob) and not self._copy:
            raise UsageError("COCO names the files of images; give a file, not an array.")
        if self._copy:
            payload = payload.beside()
            target = self.folder / IMAGES / (payload.name + payload.suffix)
            part = self._parts.folder / f"{payload.name}.json"
            copy_image(payload, target, ours=is_store_json(part))
            payload = replace(payload, image=Blob(target))
        return self._parts.put(payload)

    def close(self) -> None:
        """Join all parts into the JSON. Raises FormatError for a part that is broken."""
        parts = dict(sorted(_parts_in(self._parts.folder)))
        classes = {class_of(record) for path in parts.values() for record in _read_part(path)[1]}
        in_order = sorted(classes or {UNLABELLED}, key=lambda name: (name != UNLABELLED, name))
        categories = {name: number for number, name in enumerate(in_order, start=1)}
        images = []
        with atomic_write(self._file) as file:
            rows = [self.category(name, number) for name, number in categories.items()]
            file.write(_HEAD + b'"categories":' + _dump(rows) + b',"annotations":[')
            separator = b""
            for image_id, (name, path) in enumerate(parts.items(), start=1):
                info, records = _read_part(path)
                images.append(_image(info, image_id, name))
                for annotation in self.annotations(records, name, image_id, categories):
                    file.write(separator + _dump(annotation))
                    separator = b","
            file.write(b'],"images":' + _dump(images) + b"}\n")

    def category(self, name: str, number: int) -> dict[str, Any]:
        """An entry of the list of categories."""
        return {"id": number, "name": name, "supercategory": "object"}

    @abstractmethod
    def annotations(
        self, records: list[Record], name: str, image_id: int, categories: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        """The entries of the list of annotations that one image has.

        categories: numbers by the names that `class_of` gives.
        """


def is_part_done(folder: Path, name: str) -> bool:
    """Whether an image's part is in a folder of parts."""
    return is_store_json(folder / f"{name}.json")


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


def _dump(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HEAD)) == _HEAD
