"""Recall of automatic masks (SAM, section 7.3 and appendix D.3; COCO's average recall)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from samkit.evaluation.promptable import Values
from samkit.evaluation.regions import region_masks
from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator
from samkit.inference.settings import AutomaticMaskSettings
from samkit.masks import rle
from samkit.modeling import Sam

Proposer = Callable[[NDArray[np.uint8]], list[dict[str, Any]]]
"""From an image (H x W x 3) to proposals as compressed RLE, the best first."""

IOU_LEVELS = np.arange(50, 100, 5) / 100
"""A mask counts as found at each of these."""
MOST = (10, 100, 1000)
"""So many proposals of an image are looked at, for `ar10`, `ar100` and `ar1000`."""
NMS = 0.9
"""Of two proposals whose boxes have a larger IoU the more confident one stays."""


def proposals_of_model(sam: Sam, points_per_side: int) -> Proposer:
    """Automatic masks without any filter but NMS, ranked by mean of predicted IoU and stability."""
    settings = AutomaticMaskSettings(
        points_per_side=points_per_side,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=NMS,
    )
    generator = SamAutomaticMaskGenerator.from_settings(sam, settings, "coco_rle")

    def propose(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        records = generator.generate(image)
        records.sort(key=lambda one: -(one["predicted_iou"] + one["stability_score"]))
        return [one["segmentation"] for one in records[: MOST[-1]]]

    return propose


def proposals_of_regions(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Felzenszwalb and Huttenlocher's regions of all scales, the largest first."""
    return rle.encode(np.array(region_masks(image)[: MOST[-1]]))


def score_proposals(proposals: Sequence[dict[str, Any]], masks: Sequence[dict[str, Any]]) -> Values:
    """`ar10`, `ar100` and `ar1000`: for each mask the share of `IOU_LEVELS` at which it was found.

    proposals: compressed RLE, the best first. masks: B compressed RLE.
    """
    ranks = match_ranks(_ious(proposals, masks))
    return {f"ar{most}": (ranks < most).mean(0) for most in MOST}


def match_ranks(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which proposal found which mask: L x B ranks from 0 for L levels, infinity where none did.

    ious: P x B of all pairs, the best proposal first. As in COCO, each proposal in turn takes the
    mask that it fits best among those that are left, if it fits well enough.
    """
    levels = np.arange(len(IOU_LEVELS))
    ranks = np.full((len(IOU_LEVELS), ious.shape[1]), np.inf)
    for rank in np.flatnonzero(ious.max(1, initial=0) >= IOU_LEVELS[0]):
        left = np.where(np.isinf(ranks), ious[rank], -1)
        best = left.argmax(1)
        found = left[levels, best] >= IOU_LEVELS
        ranks[levels[found], best[found]] = rank
    return ranks


def _ious(
    proposals: Sequence[dict[str, Any]], masks: Sequence[dict[str, Any]]
) -> NDArray[np.float64]:
    """P x B."""
    if not proposals:
        return np.zeros((0, len(masks)))
    return np.asarray(coco.iou(list(proposals), list(masks), [False] * len(masks)))
