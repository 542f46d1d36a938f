"""Greedy non-maximum suppression of boxes (SAM, appendix B), as torchvision does it on a CPU."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that are kept, the best first.

    boxes: (N, 4) XYXY on any device; IoU is computed in float32.
    scores: (N,); equal scores stay in the order of their indices.
    A box is suppressed if its IoU with a kept box of a better score is larger than the threshold;
    boxes without any area are never suppressed.
    Returns (K,) int64 on the device of the boxes.
    """
    return _suppress(boxes, scores, iou_threshold, None)


def batched_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, groups: Tensor) -> Tensor:
    """As `nms`, but only boxes of the same group suppress each other.

    groups: (N,) ints.
    """
    return _suppress(boxes, scores, iou_threshold, groups)


def _suppress(boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None) -> Tensor:
    order = torch.sort(scores.detach(), descending=True, stable=True).indices.cpu().numpy()
    corners = np.ascontiguousarray(boxes.detach().float().cpu().numpy()[order].T)  # 4×N
    areas = (corners[2] - corners[0]) * (corners[3] - corners[1])
    members = None if groups is None else groups.cpu().numpy()[order]
    limit = _largest_float32_up_to(threshold)
    kept = []
    # What is left shrinks as boxes are kept or suppressed; its first one is the best of them.
    while order.size:
        kept.append(order[0])
        suppressed = _iou_of_first(corners, areas) > limit
        if members is not None:
            suppressed &= members == members[0]
        suppressed[0] = True
        left = np.flatnonzero(~suppressed)
        order, corners, areas = order[left], corners[:, left], areas[left]
        members = None if members is None else members[left]
    return torch.tensor(np.array(kept, dtype=np.int64), device=boxes.device)


def _iou_of_first(corners: Floats, areas: Floats) -> Floats:
    """(N,) IoU of the first of (4, N) boxes with all of them; NaN between two without area."""
    width = np.minimum(corners[2], corners[2, 0]) - np.maximum(corners[0], corners[0, 0])
    height = np.minimum(corners[3], corners[3, 0]) - np.maximum(corners[1], corners[1, 0])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    with np.errstate(invalid="ignore"):
        iou: Floats = shared / (areas[0] + areas - shared)
    return iou


def _largest_float32_up_to(value: float) -> np.float32:
    """For float32 x, x > result means exactly x > value in float64: torchvision's comparison."""
    rounded = np.float32(value)
    if float(rounded) > value:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return rounded
