"""Chosen masks as records with the official fields."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.inference.selection import Drawn
from samkit.inference.transforms import Size
from samkit.masks import rle

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


def to_records(drawn: Sequence[Drawn], image_size: Size, output_mode: str) -> list[dict[str, Any]]:
    """One dict a mask, as `SamAutomaticMaskGenerator.generate` describes it."""
    segmentations = _segmentations(drawn, image_size, output_mode)
    return [
        _record(one, segmentation) for one, segmentation in zip(drawn, segmentations, strict=True)
    ]


def _record(one: Drawn, segmentation: Any) -> dict[str, Any]:
    chosen, crop_box = one.chosen, one.chosen.crop.crop_box
    point = chosen.crop.points[chosen.index] + np.array(crop_box[:2])
    return {
        "segmentation": segmentation,
        "area": chosen.area,
        "bbox": _xywh(chosen.box),
        "predicted_iou": chosen.score,
        "point_coords": [point.tolist()],
        "stability_score": chosen.stability,
        "crop_box": _xywh(crop_box),
    }


def _xywh(box: tuple[int, int, int, int]) -> list[int]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _segmentations(drawn: Sequence[Drawn], image_size: Size, output_mode: str) -> list[Any]:
    if output_mode == "binary_mask":
        return [_full(one, image_size) for one in drawn]
    rles = rle.encode_crops(
        [one.pixels for one in drawn], [one.offset for one in drawn], image_size
    )
    return rles if output_mode == "coco_rle" else [rle.to_uncompressed(one) for one in rles]


def _full(one: Drawn, image_size: Size) -> NDArray[np.bool_]:
    mask = np.zeros(image_size, bool)
    (top, left), (height, width) = one.offset, one.pixels.shape
    mask[top : top + height, left : left + width] = one.pixels
    return mask
