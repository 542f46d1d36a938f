"""The official module of this name: helpers of the automatic mask generator, mapped on ours."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from samkit.errors import UsageError
from samkit.inference.mask_data import MaskData
from samkit.masks.boxes import mask_to_box as batched_mask_to_box
from samkit.masks.boxes import near_crop_edge, uncrop_masks, uncrop_points
from samkit.masks.boxes import uncrop_boxes as uncrop_boxes_xyxy
from samkit.masks.boxes import xyxy_to_xywh as box_xyxy_to_xywh
from samkit.masks.crops import crop_boxes
from samkit.masks.crops import point_grid as build_point_grid
from samkit.masks.crops import point_grids_all_layers as build_all_layer_point_grids
from samkit.masks.regions import remove_small_regions
from samkit.masks.rle import area as area_from_rle
from samkit.masks.rle import decode as rle_to_mask
from samkit.masks.rle import encode, to_uncompressed
from samkit.masks.rle import from_uncompressed as coco_encode_rle
from samkit.masks.stability import stability_score

__all__ = [
    "MaskData",
    "area_from_rle",
    "batch_iterator",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]


def mask_to_rle_pytorch(tensor: Tensor) -> list[dict[str, Any]]:
    """Uncompressed RLEs, `counts` as a list, of B x H x W bool masks."""
    return [to_uncompressed(rle) for rle in encode(tensor)]


def calculate_stability_score(
    masks: Tensor, mask_threshold: float, threshold_offset: float
) -> Tensor:
    """IoU between the masks at threshold + offset and threshold - offset of ... x H x W logits."""
    return stability_score(masks, mask_threshold, threshold_offset)


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """XYXY crops of an (H, W) image and the layer of each."""
    height, width = im_size
    return crop_boxes((height, width), n_layers, overlap_ratio)


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: list[int], orig_box: list[int], atol: float = 20.0
) -> Tensor:
    """Which N x 4 boxes touch an edge of their crop that is none of the image."""
    return near_crop_edge(boxes, crop_box, orig_box, atol)


def batch_iterator(batch_size: int, *args: Sequence[Any]) -> Iterator[list[Any]]:
    """Slices of `batch_size` of all arguments at once; they must have one length."""
    if not args or any(len(arg) != len(args[0]) for arg in args):
        raise UsageError("batch_iterator needs sequences that all have the same length.")
    for start in range(0, len(args[0]), batch_size):
        yield [arg[start : start + batch_size] for arg in args]
