"""The JSON beside an image: {"image": {image_id, width, height, file_name}, "annotations": […]}.

This is SA-1B's file, one for each image. Reading trusts nothing: what comes in may be damaged,
hostile, or a JSON of another tool.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from samkit.datasets.records import Record, check
from samkit.errors import FormatError, UsageError
from samkit.masks.rle import MAX_PIXELS

MAX_JSON_BYTES = 1 << 28
_START = re.compile(rb'\s*\{\s*"(image|annotations)"\s*:')
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:")


@dataclass(frozen=True)
class ImageInfo:
    """What a document says of its image; width and height in pixels, upright."""

    image_id: int
    width: int
    height: int
    file_name: str

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width


@dataclass(frozen=True)
class Document:
    """An image's description and its records; broken: (place, sentence) of what was left out."""

    image: ImageInfo
    records: list[Record]
    broken: list[tuple[str, str]]


def parse_json(data: bytes) -> Any:
    """JSON from anywhere, in which numbers may still be NaN or infinite. Raises FormatError."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise FormatError("The JSON is nested too deeply.") from error
    except ValueError as error:  # also of text that is not UTF-8 and of numbers without end
        raise FormatError(f"It is not valid JSON ({_first_line(error)}).") from error


def parse_document(data: bytes) -> Document:
    """Read a document; single records that are broken are left out and named.

    Raises FormatError where the document itself makes no sense.
    """
    if len(data) > MAX_JSON_BYTES:
        raise FormatError(f"The JSON is larger than {MAX_JSON_BYTES >> 20} MiB.")
    value = parse_json(data)
    if not isinstance(value, Mapping) or not isinstance(value.get("image"), Mapping):
        raise FormatError('It is not SA-1B\'s JSON: it has no object "image".')
    image = check_image(value["image"])
    annotations = value.get("annotations")
    if not isinstance(annotations, list):
        raise FormatError('It is not SA-1B\'s JSON: it has no list "annotations".')
    records, broken = [], []
    for index, annotation in enumerate(annotations):
        try:
            records.append(check(annotation, image.size))
        except FormatError as error:
            broken.append((f"annotation {index}", str(error)))
    return Document(image, records, broken)


def check_image(value: Mapping[str, Any]) -> ImageInfo:
    """The "image" part of a document. Raises FormatError for anything but four sound fields."""
    width, height = value.get("width"), value.get("height")
    image_id, file_name = value.get("image_id"), value.get("file_name")
    sides = [side for side in (width, height) if type(side) is int and side > 0]
    if len(sides) != 2 or sides[0] * sides[1] > MAX_PIXELS:
        raise FormatError(
            f"The image's width and height must be positive and have at most {MAX_PIXELS} pixels."
        )
    if type(image_id) is not int or abs(image_id) > 2**63:
        raise FormatError("The image_id must be a whole number.")
    if not isinstance(file_name, str) or not is_plain_name(file_name):
        raise FormatError("The image's file_name must be a plain name without folders.")
    return ImageInfo(image_id, sides[0], sides[1], file_name)


def document_bytes(image: ImageInfo, records: Sequence[Record]) -> bytes:
    """The file of an image and its records: UTF-8 JSON in one line."""
    value = {
        "image": {
            "image_id": image.image_id,
            "width": image.width,
            "height": image.height,
            "file_name": image.file_name,
        },
        "annotations": records,
    }
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def starts_like_document(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an SA-1B JSON, not of another tool's."""
    return _START.match(head) is not None


def image_id_of(name: str) -> int:
    """A number for an image that depends on its name only: 40 bits of SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:5])


def is_plain_name(name: str) -> bool:
    """Whether a string is the name of a file in this very folder, on every system.

    No separators, drive letters, control characters or bytes that are not UTF-8.
    """
    return (
        0 < len(name) <= 255
        and name not in {".", ".."}
        and "/" not in name
        and not _FORBIDDEN_IN_NAMES.search(name)
    )


def check_name(name: str) -> str:
    """The name of a pair: a relative path without suffix, "/" between folders.

    Raises UsageError for one that leads out of its folder or is empty.
    """
    parts = name.split("/")
    if name != PurePosixPath(name).as_posix() or not all(map(is_plain_name, parts)):
        raise UsageError(
            f"{name!r} cannot name a pair; use a relative path with / between its folders."
        )
    return name


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
