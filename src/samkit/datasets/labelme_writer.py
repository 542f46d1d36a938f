"""labelme's JSON, one for each image, with every mask as it is."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from samkit.datasets.labels import added_fields, class_of
from samkit.datasets.losses import EMPTY_MASKS
from samkit.datasets.payload import Payload
from samkit.datasets.records import Record
from samkit.datasets.writing import PairWriter, copy_image
from samkit.errors import UsageError
from samkit.files import atomic_write
from samkit.masks import rle
from samkit.masks.runs import window_of

_HEAD = '{"version":"5.5.0","flags":{},"samkit":true,'
_LIKE_LABELME = re.compile(rb'\s*\{\s*"version"\s*:')


class LabelmeWriter(PairWriter):
    """Writes OUT/NAME.json with a shape of the type "mask" for each record.

    Such a shape holds the pixels inside the mask's box as a PNG, so holes, parts and overlaps stay.
    Its label is a record's first one, "object" where it has none; the other fields of a record
    stand beside it, where labelme keeps them. A mask without a pixel has no box and is left out.
    """

    def __init__(self, folder: str | Path, *, copy_images: bool = False) -> None:
        """folder: OUT. copy_images: whether images are copied beside their JSON, where labelme
        looks for them, or stay where they are.
        """
        super().__init__(folder)
        self._copy = copy_images

    def put(self, payload: Payload) -> Path:
        """The JSON of an image. Raises UsageError where another one stands, or one that labelme
        has saved since.
        """
        path = self.folder / f"{payload.name}.json"
        ours = _is_ours(path)
        if path.exists() and not ours:
            raise UsageError(f"{path} is not as samkit wrote it; choose another folder.")
        if self._copy:
            payload = payload.beside()
            copy_image(payload, path.with_name(payload.info.file_name), ours=ours)
        shapes = [_shape(record) for record in payload.records]
        value = {
            "shapes": [shape for shape in shapes if shape is not None],
            "imagePath": payload.info.file_name,
            "imageData": None,
            "imageHeight": payload.info.height,
            "imageWidth": payload.info.width,
        }
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        with atomic_write(path) as file:
            file.write((_HEAD + text[1:] + "\n").encode())
        if empty := shapes.count(None):
            self.losses[EMPTY_MASKS] += empty
        return path


def is_labelme_done(folder: str | Path, name: str) -> bool:
    """Whether an image's JSON is there, also if labelme has saved it since."""
    return _LIKE_LABELME.match(_head(Path(folder) / f"{name}.json")) is not None


def _shape(record: Record) -> dict[str, Any] | None:
    mask = rle.decode(record["segmentation"])
    window = window_of(mask)
    part = mask[window.slices]
    if not part.size:
        return None
    file = BytesIO()
    Image.fromarray(part).save(file, format="PNG")
    return {
        "label": class_of(record),
        "points": [[window.left, window.top], [window.right - 1, window.bottom - 1]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(file.getvalue()).decode(),
        **added_fields(record),
    }


def _is_ours(path: Path) -> bool:
    return _head(path) == _HEAD.encode()


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(len(_HEAD))
    except OSError:
        return b""
