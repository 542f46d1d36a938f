"""What training minimises (SAM section 3, "Losses and training")."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) of each mask (Milletari et al., 2016).

    logits: ... x H x W; target: ... x H x W in [0, 1] (broadcast). Returns (...) in [0, 1].
    """
    p = logits.sigmoid()
    overlap = (p * target).sum((-2, -1))
    return 1 - (2 * overlap + 1) / (p.sum((-2, -1)) + target.sum((-2, -1)) + 1)


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each mask, the mean over its pixels (Lin et al., 2017; SAM, section 3).

    A pixel of probability p counts alpha (1 - p)^gamma (-log p) where the target is one, and
    (1 - alpha) p^gamma (-log (1 - p)) where it is zero; targets between are blended. Shapes as in
    `dice_loss`.
    """
    target = target.expand_as(logits)
    p = logits.sigmoid()
    ones = alpha * (1 - p) ** gamma * F.logsigmoid(logits)
    zeros = (1 - alpha) * p**gamma * F.logsigmoid(-logits)
    return -(target * ones + (1 - target) * zeros).mean((-2, -1))


def normalised_focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Binary cross-entropy averaged with weights |t - p|^gamma (Sofiiuk et al., 2019).

    Focal weights without the vanishing: wrong pixels count, however few they are and however good
    the rest, so that neither small objects nor nearly right masks are forgotten. The weights carry
    no gradient. Shapes as in `dice_loss`.
    """
    target = target.expand_as(logits)
    weights = (target - logits.detach().sigmoid()).abs() ** gamma
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (weights * bce).sum((-2, -1)) / weights.sum((-2, -1)).clamp(min=1e-6)


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of the thresholded prediction and target, without gradient: (...) in [0, 1]."""
    predicted = logits.detach() > 0
    wanted = target > 0.5
    overlap = (predicted & wanted).sum((-2, -1))
    union = (predicted | wanted).sum((-2, -1))
    return overlap / union.clamp(min=1)


def candidates_loss(each: Tensor, others: Tensor) -> Tensor:
    """Only the best candidate of a prompt learns from it, the rest by a small share.

    each: B x 3 losses. others: B shares. Returns B: the lowest of each row + its share of the
    row's mean.
    """
    return each.amin(dim=1) + others * each.mean(dim=1)


def iou_loss(predicted: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Mean-square error of the predicted IoU: predicted ... ; logits and target ... x H x W."""
    return (predicted - mask_iou(logits, target)).square()


def shrink(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks ... x H x W bool as targets of a lower resolution: the share of each cell covered."""
    flat = masks.flatten(0, -3)[:, None].float()
    return torch.nn.functional.interpolate(flat, size=size, mode="area").unflatten(
        0, masks.shape[:-2]
    )[..., 0, :, :]


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal": focal_loss,
    "normalised_focal": normalised_focal_loss,
}
"""What a recipe may ask for as `pixel_loss`."""
