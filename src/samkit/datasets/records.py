"""The record: one mask with its fields, as SA-1B publishes it.

    id               int
    bbox             [x, y, w, h] in pixels
    area             true pixels
    segmentation     COCO RLE {"size": [H, W], "counts": str}
    predicted_iou, stability_score
    crop_box         [x, y, w, h] of the crop that the mask was found in
    point_coords     [[x, y], …] of the prompt; empty if there were no points

Whatever we add lies under one more key, "samkit" (prompts, model, stage, editor, seconds, labels).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np

from samkit.errors import FormatError
from samkit.masks import rle
from samkit.masks.runs import window_of

FIELDS = (
    "id",
    "bbox",
    "area",
    "segmentation",
    "predicted_iou",
    "stability_score",
    "crop_box",
    "point_coords",
)
OWN_KEY = "samkit"
_LARGEST = 2**53  # numbers beyond it are not exact in every JSON reader


class Record(TypedDict):
    """One mask; plain values that JSON holds."""

    id: int
    bbox: list[float]
    area: int
    segmentation: dict[str, Any]
    predicted_iou: float
    stability_score: float
    crop_box: list[float]
    point_coords: list[list[float]]
    samkit: NotRequired[dict[str, Any]]


def from_generated(generated: Mapping[str, Any], record_id: int) -> Record:
    """Make a record of what the automatic mask generator returns for one mask.

    generated: the official fields (segmentation, area, bbox, predicted_iou, point_coords,
        stability_score, crop_box), and possibly "samkit"; the segmentation in any of the official
        output modes: H x W bool array, uncompressed RLE, compressed RLE. An "id" is replaced.
    Raises FormatError where a field is missing or holds what a record cannot hold.
    """
    known: dict[str, Any] = {"id": record_id}
    for key in FIELDS[1:]:
        if key not in generated:
            raise FormatError(f"Mask {record_id} lacks the field {key!r} and makes no record.")
        known[key] = _plain(generated[key]) if key != "segmentation" else _as_rle(generated[key])
    if OWN_KEY in generated:
        known[OWN_KEY] = generated[OWN_KEY]
    height, width = known["segmentation"]["size"]
    return check(known, (height, width))


def from_mask(
    mask: np.ndarray,
    record_id: int,
    *,
    predicted_iou: float = 1.0,
    stability_score: float = 1.0,
    point_coords: Sequence[Sequence[float]] = (),
    samkit: Mapping[str, Any] | None = None,
) -> Record:
    """Make a record of a (H, W) bool mask that did not come from the generator.

    Scores of 1 and no points say that nobody measured; the crop is the whole image. The box is the
    tight one, in whole pixels, as in COCO.
    """
    (segmentation,) = rle.encode(mask[None])
    window = window_of(np.asarray(mask, dtype=bool))
    record: dict[str, Any] = {
        "id": record_id,
        "bbox": [window.left, window.top, window.right - window.left, window.bottom - window.top],
        "area": int(np.count_nonzero(mask)),
        "segmentation": segmentation,
        "predicted_iou": predicted_iou,
        "stability_score": stability_score,
        "crop_box": [0, 0, mask.shape[1], mask.shape[0]],
        "point_coords": _plain(point_coords),
    }
    if samkit:
        record[OWN_KEY] = dict(samkit)
    return check(record, (mask.shape[0], mask.shape[1]))


def check(value: Any, size: tuple[int, int]) -> Record:
    """The record that a value from anywhere stands for, if it is one.

    size: (H, W) of the image; the RLE must have it. Keys that SA-1B does not know are kept under
    record["samkit"]["other"], so that nothing is lost and what is written again is exact.
    Raises FormatError that names the record by its id and says what is wrong with it.
    """
    if not isinstance(value, Mapping):
        raise FormatError("A record must be a JSON object.")
    name = f"Record {value['id']}" if _is_int(value.get("id")) else "A record"
    missing = [key for key in FIELDS if key not in value]
    if missing:
        raise FormatError(f"{name} lacks {', '.join(missing)}.")
    if not _is_int(value["id"]):
        raise FormatError(f"{name} has an id that is not a whole number.")
    for key in ("predicted_iou", "stability_score"):
        if not _is_number(value[key]):
            raise FormatError(f"{name} has a {key} that is not a finite number.")
    for key in ("bbox", "crop_box"):
        if not _is_box(value[key]):
            raise FormatError(f"{name} has a {key} that is not [x, y, w, h] of finite numbers.")
    points = value["point_coords"]
    if not isinstance(points, list) or not all(_is_numbers(point, 2) for point in points):
        raise FormatError(f"{name} has point_coords that are not a list of [x, y].")
    area = value["area"]
    if not _is_number(area) or area != int(area) or not 0 <= area <= size[0] * size[1]:
        raise FormatError(f"{name} has an area that is not a number of the image's pixels.")
    record: dict[str, Any] = {
        "id": value["id"],
        "bbox": [float(side) for side in value["bbox"]],
        "area": int(area),
        "segmentation": _checked_rle(value["segmentation"], size, name),
        "predicted_iou": float(value["predicted_iou"]),
        "stability_score": float(value["stability_score"]),
        "crop_box": list(value["crop_box"]),
        "point_coords": [[float(x), float(y)] for x, y in points],
    }
    own = _own_part(value, name)
    if own:
        record[OWN_KEY] = own
    return record  # type: ignore[return-value]


def measured(record: Record) -> Record:
    """The record with the area and the tight box of its mask, whatever it says of these itself.

    Raises FormatError for a mask without a pixel.
    """
    area, window = rle.measure(record["segmentation"])
    if not area:
        raise FormatError(f"Record {record['id']} has a mask without a pixel.")
    top, bottom, left, right = map(float, window)
    return {**record, "area": area, "bbox": [left, top, right - left, bottom - top]}


def own_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record has under "samkit"; empty where it has nothing."""
    own: dict[str, Any] = record.get(OWN_KEY, {})
    return own


def is_crowd(record: Mapping[str, Any]) -> bool:
    """Whether a record says that it is a region of many objects."""
    return own_of(record).get("crowd") is True


def _checked_rle(value: Any, size: tuple[int, int], name: str) -> dict[str, Any]:
    try:
        rle.area(value)
    except FormatError as error:
        raise FormatError(f"{name} has a broken mask: {error}") from error
    height, width = (int(side) for side in value["size"])
    if (height, width) != size:
        raise FormatError(
            f"{name} has a mask of {width} x {height} pixels, but its image has "
            f"{size[1]} x {size[0]}."
        )
    counts = value["counts"]
    if isinstance(counts, str):
        return {"size": [height, width], "counts": counts}
    return dict(rle.from_uncompressed(value))


def _own_part(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    own = value.get(OWN_KEY, {})
    if not isinstance(own, Mapping) or not isinstance(own.get("other", {}), Mapping):
        raise FormatError(f'{name} has a "{OWN_KEY}" (or "other" in it) that is no JSON object.')
    other = {key: item for key, item in value.items() if key not in FIELDS and key != OWN_KEY}
    own = {**own, "other": {**own.get("other", {}), **other}} if other else dict(own)
    try:
        json.dumps(own, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError(f'{name} has a "{OWN_KEY}" that JSON cannot hold ({error}).') from error
    return own


def _as_rle(segmentation: Any) -> Any:
    if isinstance(segmentation, Mapping):
        return segmentation
    return rle.encode(segmentation[None])[0]


def _plain(value: Any) -> Any:
    """Lists and numbers instead of arrays, tensors and tuples."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    )  # which NaN and infinities are not


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(_is_number, value))


def _is_box(value: Any) -> bool:
    return _is_numbers(value, 4) and value[2] >= 0 and value[3] >= 0
