"""Prompts as words of the command line: points, boxes, a mask; checked against the image."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samkit import images
from samkit.errors import UsageError

Floats = NDArray[np.float64]
Size = tuple[int, int]

_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Given:
    """What a user asks for, in pixels of the upright image."""

    points: Floats
    """N x 2 (x, y)."""
    labels: NDArray[np.int64]
    """N of 1 foreground, 0 background."""
    boxes: Floats
    """M x 4 XYXY."""
    mask: NDArray[np.bool_] | None

    def objects(self) -> list[tuple[list[int], list[int]]]:
        """The objects that are meant: for each the indices of its points and of its box.

        Without several boxes all prompts mean one object. Each of several boxes is an object of
        its own, and a point goes with every box it lies in.
        Raises UsageError for a point that lies in none of several boxes, and for a mask with them.
        """
        if len(self.boxes) < 2:
            return [(list(range(len(self.points))), list(range(len(self.boxes))))]
        if self.mask is not None:
            raise UsageError("A mask prompt means one object, so give at most one box with it.")
        x, y = self.points[:, :1], self.points[:, 1:]
        x0, y0, x1, y1 = self.boxes.T
        inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)  # N x M
        for point, homeless in zip(self.points, ~inside.any(1), strict=True):
            if homeless:
                raise UsageError(
                    f"The point {_text(point)} lies in none of the boxes; with several boxes, "
                    "each point goes with those it lies in."
                )
        return [(np.flatnonzero(inside[:, box]).tolist(), [box]) for box in range(len(self.boxes))]


def parse(
    points: list[str], boxes: list[str], boxes_file: Path | None, mask: Path | None, size: Size
) -> Given:
    """Prompts from the words of flags, for an image of size (H, W).

    Raises UsageError for words that are no prompts, prompts outside the image, or none at all;
    ImageError for a mask that cannot be read.
    """
    parsed = [_point(word, size) for word in points]
    corners = [_box(_numbers(word, "box", "x0,y0,x1,y1"), word, size) for word in boxes]
    if boxes_file is not None:
        corners += _boxes_of(boxes_file, size)
    if not parsed and not corners and mask is None:
        raise UsageError("Give at least one prompt: --point x,y or --box x0,y0,x1,y1 or --mask.")
    return Given(
        np.array([point[:2] for point in parsed], dtype=np.float64).reshape(-1, 2),
        np.array([point[2] for point in parsed], dtype=np.int64),
        np.array(corners, dtype=np.float64).reshape(-1, 4),
        None if mask is None else _mask(mask, size),
    )


def _point(word: str, size: Size) -> tuple[float, float, int]:
    x, y, *label = _numbers(word, "point", "x,y or x,y,0 or x,y,1", counts=(2, 3))
    if label and label[0] not in (0, 1):
        raise UsageError(f"The point {word} must end in 1 (foreground) or 0 (background).")
    height, width = size
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(f"The point {word} lies outside the image of {width} x {height} pixels.")
    return x, y, int(label[0]) if label else 1


def _box(corners: list[float], name: str, size: Size) -> list[float]:
    """A box cut to the image."""
    x0, y0, x1, y1 = corners
    height, width = size
    if x0 >= x1 or y0 >= y1:
        raise UsageError(
            f"The box {name} must be x0,y0,x1,y1 with x0 < x1 and y0 < y1: its left, top, right "
            "and bottom."
        )
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise UsageError(f"The box {name} lies outside the image of {width} x {height} pixels.")
    return [max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))]


def _numbers(word: str, what: str, form: str, counts: tuple[int, ...] = (4,)) -> list[float]:
    try:
        numbers = [float(part) for part in word.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        raise UsageError(f"A {what} must be {form} in pixels, not {word!r}.")
    return numbers


def _boxes_of(path: Path, size: Size) -> list[list[float]]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is too large for a list of boxes.")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; check the name.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON; it must hold a list of boxes.") from error
    if not isinstance(values, list) or not values:
        raise UsageError(f"{path} must hold a list of boxes: [[x0, y0, x1, y1], …].")
    for place, value in enumerate(values):
        if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
            raise UsageError(f"Box {place} of {path} must be [x0, y0, x1, y1] in pixels.")
    return [_box(value, f"{place} of {path}", size) for place, value in enumerate(values)]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e9  # which NaN and infinities are not


def _mask(path: Path, size: Size) -> NDArray[np.bool_]:
    mask = images.as_mask(path)
    if mask.shape != size:
        raise UsageError(
            f"The mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, but the image "
            f"{size[1]} x {size[0]}; give one of the image's size."
        )
    if not mask.any():
        raise UsageError(f"The mask {path} is empty; mark something in it.")
    return mask


def _text(point: Floats) -> str:
    return ",".join(f"{value:g}" for value in point)
