"""Greedy non-maximum suppression over XYXY boxes, in float32 and a stable order."""

import numpy as np
import torch
from torch import Tensor


def box_area(boxes: Tensor) -> Tensor:
    """boxes: N x 4. Returns N areas."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes to keep, best score first; one goes where its IoU is above the limit."""
    order = torch.argsort(scores, descending=True, stable=True)
    boxes = boxes.float()[order]
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = box_area(boxes)
    overlaps = (both / (area[:, None] + area[None] - both) > iou_threshold).numpy()
    gone = np.zeros(len(boxes), dtype=bool)
    kept = []
    for i in range(len(boxes)):
        if not gone[i]:
            kept.append(i)
            gone |= overlaps[i]
    return order[kept]


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` inside each group: groups are moved so far apart that they cannot overlap."""
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64)
    apart = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)
