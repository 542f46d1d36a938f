"""Prompts drawn on a picture: points, boxes, a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samkit.errors import UsageError
from samkit.pictures.contours import Stroke, blend, crop_mask, draw_contour

_LABEL_COLOURS = {1: (34, 190, 70), 0: (226, 40, 52)}
_WHITE = (255, 255, 255)
_DARK = (20, 20, 24)


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """What a user gave, to be drawn, in pixels of the original image.

    points: (N, 2) of (x, y). labels: (N,) of 1 foreground or 0 background; all 1 if left out.
    boxes: (M, 4) or (4,) XYXY. mask: (H, W) bool.
    """

    points: ArrayLike = ()
    labels: Sequence[int] | NDArray[np.integer] | None = None
    boxes: ArrayLike = ()
    mask: NDArray[np.bool_] | None = None


def draw_prompts(picture: NDArray[np.uint8], prompts: Prompts, width: float) -> None:
    """Draw prompts into `picture` (H, W, 3) in place: a dashed outline, frames, discs on top.

    width: of lines, in pixels; discs grow with it. Points with other labels than 0 and 1 (padding)
    are left out. Raises UsageError for arrays of the wrong shape or that are not finite.
    """
    points = _rows(prompts.points, 2, "points")
    boxes = _rows(prompts.boxes, 4, "boxes")
    given = [1] * len(points) if prompts.labels is None else prompts.labels
    labels = np.asarray(given).reshape(-1)
    if len(labels) != len(points):
        raise UsageError(
            f"There are {len(points)} points to draw but {len(labels)} labels; give one for each."
        )
    if prompts.mask is not None:
        _draw_mask(picture, prompts.mask, width)
    for box in boxes:
        _draw_frame(picture, box, width)
    for (x, y), label in zip(points, labels, strict=True):
        if int(label) in _LABEL_COLOURS:
            _draw_point(picture, float(x), float(y), int(label), width)


def _rows(values: ArrayLike, columns: int, name: str) -> NDArray[np.float64]:
    try:
        rows = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.full((1, 1), np.nan)
    if rows.size == 0:
        return np.zeros((0, columns))
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] != columns or not np.isfinite(rows).all():
        raise UsageError(f"The {name} to draw must be finite numbers in rows of {columns}.")
    return rows


def _draw_mask(picture: NDArray[np.uint8], mask: NDArray[np.bool_], width: float) -> None:
    if mask.shape != picture.shape[:2]:
        raise UsageError(
            f"The mask prompt is {mask.shape} but the picture {picture.shape[:2]}; "
            "give one of the picture's size."
        )
    crop = crop_mask(np.asarray(mask, dtype=bool))
    if crop is not None:
        draw_contour(picture, crop, [Stroke(_DARK, 1.5 * width)])
        draw_contour(picture, crop, [Stroke(_WHITE, 1.5 * width)], dash=max(4, round(4 * width)))


def _draw_frame(picture: NDArray[np.uint8], box: NDArray[np.float64], width: float) -> None:
    """A white frame with dark edges, its middle on the box's sides."""
    left, right = sorted((box[0], box[2]))
    top, bottom = sorted((box[1], box[3]))
    for colour, half in ((_DARK, width / 2 + max(0.75, width / 3)), (_WHITE, width / 2 + 0.25)):
        for x in (left, right):
            _fill(picture, (x - half, top - half, x + half, bottom + half), colour)
        for y in (top, bottom):
            _fill(picture, (left - half, y - half, right + half, y + half), colour)


def _fill(picture: NDArray[np.uint8], box: tuple[float, ...], colour: tuple[int, ...]) -> None:
    """Fill an XYXY box with fractional sides: each pixel as far as the box covers it."""
    height, width = picture.shape[:2]
    x0, x1 = np.clip([np.floor(box[0]), np.ceil(box[2])], 0, width).astype(int)
    y0, y1 = np.clip([np.floor(box[1]), np.ceil(box[3])], 0, height).astype(int)
    columns = _covered(np.arange(x0, x1), box[0], box[2])
    rows = _covered(np.arange(y0, y1), box[1], box[3])
    alpha = (rows[:, None] * columns[None]).astype(np.float32)
    blend(picture[y0:y1, x0:x1], np.asarray(colour, dtype=np.float32), alpha)


def _covered(pixels: NDArray[np.integer], low: float, high: float) -> NDArray[np.float64]:
    cover: NDArray[np.float64] = np.minimum(pixels + 1, high) - np.maximum(pixels, low)
    return cover.clip(0, 1)


def _draw_point(picture: NDArray[np.uint8], x: float, y: float, label: int, width: float) -> None:
    """A green or red disc in a white ring, with a plus or a minus for eyes that mix them up."""
    radius = 1.5 + 2.8 * width
    ring = max(1.25, 0.3 * radius)
    reach = int(np.ceil(radius + ring + 2))
    height, length = picture.shape[:2]
    x0, x1 = (int(v) for v in np.clip([np.floor(x) - reach, np.ceil(x) + reach + 1], 0, length))
    y0, y1 = (int(v) for v in np.clip([np.floor(y) - reach, np.ceil(y) + reach + 1], 0, height))
    if x0 >= x1 or y0 >= y1:
        return
    # Whole coordinates name pixel centres: the model adds half a pixel to them (SAM's +0.5 shift).
    across, down = np.arange(x0, x1)[None] - x, np.arange(y0, y1)[:, None] - y
    distance = np.hypot(across, down)
    target = picture[y0:y1, x0:x1]
    for colour, size, opacity in (
        (_DARK, radius + ring + 0.8, 0.6),
        (_WHITE, radius + ring, 1.0),
        (_LABEL_COLOURS[label], radius, 1.0),
    ):
        alpha = np.clip(size + 0.5 - distance, 0, 1) * opacity
        blend(target, np.asarray(colour, dtype=np.float32), alpha.astype(np.float32))
    arm, half = 0.55 * radius, max(0.5, 0.14 * radius)
    sign = _bar(across, down, arm, half)
    if label == 1:
        sign = np.maximum(sign, _bar(down, across, arm, half))
    blend(target, np.asarray(_WHITE, dtype=np.float32), sign.astype(np.float32))


def _bar(
    along: NDArray[np.floating], across: NDArray[np.floating], arm: float, half: float
) -> NDArray[np.floating]:
    length: NDArray[np.floating] = (arm + 0.5 - np.abs(along)).clip(0, 1)
    breadth: NDArray[np.floating] = (half + 0.5 - np.abs(across)).clip(0, 1)
    return length * breadth
