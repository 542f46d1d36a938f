"""How much a client may send, and the checks that come before anything is allocated."""

import json
import re
from collections.abc import Mapping
from typing import Any

from samkit.errors import FormatError
from samkit.masks import rle

MAX_BODY = 16 << 20
"""Bytes of a request; an operation on a mask of 12 megapixels needs far less than one megabyte."""
MAX_OPERATIONS = 1000
"""Operations of one request."""
MAX_INSTANCES = 20_000
"""Masks of one image."""
MAX_LABELS, MAX_LABEL = 32, 200
"""Labels of a mask, and characters of one."""
MAX_NAME = 200
"""Characters of a person's name."""
MAX_NOTE = 2000
"""Characters of a comment or a reason."""
MAX_PROMPTS = 1 << 16
"""Bytes of a mask's prompts as JSON, and of its source."""
MAX_SECONDS = 1e7
"""Active seconds, about four months."""
ID = r"^[A-Za-z0-9_-]{1,64}$"
"""What every id looks like."""

_UNFIT = re.compile(r"[\x00\ud800-\udfff]")


def checked_text(text: str) -> str:
    """Text that every database and file can hold. Raises ValueError for NUL and half characters."""
    if _UNFIT.search(text):
        raise ValueError("holds a character that no file can hold")
    return text


def checked_rle(value: Mapping[str, Any]) -> dict[str, Any]:
    """A compressed RLE in its one canonical form; its runs sum up to H·W, and no mask is made.

    Raises ValueError in one sentence for anything else.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("counts"), str):
        raise ValueError("must be a COCO RLE with counts as a string")
    try:
        return rle.from_uncompressed(value)
    except FormatError as error:
        raise ValueError(str(error)) from error


def checked_prompts(value: list[Any]) -> list[Any]:
    """Prompts, which are kept as they are. Raises ValueError where they are too large or odd."""
    _check_json(value)
    return value


def checked_source(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """A source, which is kept as it is. Raises ValueError where it is too large or odd."""
    _check_json(value)
    return value


def _check_json(value: Any) -> None:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise ValueError("holds numbers that are not finite, or is nested too deeply") from error
    checked_text(text)
    if "\\u0000" in text or len(text) > MAX_PROMPTS:
        raise ValueError(f"must have at most {MAX_PROMPTS} bytes and no NUL")
