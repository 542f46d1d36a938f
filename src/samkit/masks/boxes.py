"""Boxes of masks and of crops, as torch tensors on any device.

A box is XYXY in pixels. A box made from a mask holds the first and the last true column and row, so
that a single pixel has a box of width 0, as in the official package and in SA-1B.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

EDGE_TOLERANCE = 20.0
"""Pixels within which a box counts as touching an edge (the official default)."""


def mask_to_box(masks: Tensor) -> Tensor:
    """The boxes around masks; an empty mask has the box [0, 0, 0, 0].

    masks: (..., H, W) bool.
    Returns (..., 4) int64 XYXY of the first and last true pixels.
    """
    height, width = masks.shape[-2:]
    if masks.numel() == 0:
        return torch.zeros((*masks.shape[:-2], 4), dtype=torch.int64, device=masks.device)
    pixels = masks.view(torch.uint8)  # reductions over bytes are many times faster than over bools
    columns, rows = pixels.amax(dim=-2), pixels.amax(dim=-1)
    box = torch.stack(
        [
            columns.argmax(dim=-1),  # the first of equal maxima
            rows.argmax(dim=-1),
            width - 1 - columns.flip(-1).argmax(dim=-1),
            height - 1 - rows.flip(-1).argmax(dim=-1),
        ],
        dim=-1,
    )
    return box * rows.amax(dim=-1, keepdim=True)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """(..., 4) boxes with width and height in place of the second corner."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], dim=-1)


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(..., 4) boxes with the second corner in place of width and height."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """(...,) areas in square pixels of (..., 4) XYXY boxes."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of each box with each other one, in float32.

    boxes, others: (N, 4) and (M, 4) XYXY.
    Returns (N, M); two boxes without any area have 0.
    """
    boxes, others = boxes.float(), others.float()
    corner = torch.maximum(boxes[:, None, :2], others[None, :, :2])  # N×M×2
    opposite = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (opposite - corner).clamp(min=0).prod(dim=-1)
    union = box_area(boxes)[:, None] + box_area(others)[None] - shared
    return torch.where(union > 0, shared / union, 0.0)


def near_crop_edge(
    boxes: Tensor,
    crop_box: Sequence[float],
    image_box: Sequence[float],
    tolerance: float = EDGE_TOLERANCE,
) -> Tensor:
    """Which boxes touch an edge of their crop that is no edge of the image (SAM, appendix B).

    boxes: (N, 4) XYXY in the crop's own pixels.
    crop_box, image_box: XYXY in the image's pixels; the image's is [0, 0, W, H].
    Returns (N,) bool.
    """
    boxes = uncrop_boxes(boxes, crop_box).float()
    at_crop, at_image = (
        (boxes - torch.tensor(edges, dtype=torch.float32, device=boxes.device)).abs() <= tolerance
        for edges in (crop_box, image_box)
    )
    return (at_crop & ~at_image).any(dim=1)


def uncrop_boxes(boxes: Tensor, crop_box: Sequence[float]) -> Tensor:
    """(N, 4) XYXY boxes of a crop in the image's pixels."""
    x, y = crop_box[:2]
    return boxes + torch.tensor([x, y, x, y], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: Sequence[float]) -> Tensor:
    """(..., 2) points (x, y) of a crop in the image's pixels."""
    return points + torch.tensor(list(crop_box[:2]), device=points.device)


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], height: int, width: int) -> Tensor:
    """(N, h, w) masks of a crop inside an image of height×width that is 0 elsewhere."""
    left, top, right, bottom = crop_box
    if (left, top, right, bottom) == (0, 0, width, height):
        return masks
    return pad(masks, (left, width - right, top, height - bottom), value=0)
