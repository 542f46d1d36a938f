"""Losses against values computed by hand and against finite differences."""

import math

import pytest
import torch

from samkit.training import losses


def test_dice_loss_of_a_hand_computed_mask() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), -math.log(3)]]])  # p = .5 .5 / .75 .25
    target = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    expected = 1 - (2 * (0.5 + 0.75) + 1) / (2.0 + 2.0 + 1)
    assert losses.dice_loss(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_normalised_focal_loss_of_a_hand_computed_mask() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), -math.log(3)]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    weights = [0.25, 0.25, 0.5625, 0.0625]  # (.5, .5, .75, .25) squared
    errors = [math.log(2), math.log(2), math.log(4), -math.log(0.75)]
    expected = sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
    assert losses.normalised_focal_loss(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_mask_iou_counts_thresholded_pixels() -> None:
    logits = torch.tensor([[[1.0, -1.0], [2.0, 3.0]]])
    target = torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])
    assert losses.mask_iou(logits, target).item() == pytest.approx(2 / 4)


def test_only_the_best_candidate_gets_the_full_gradient() -> None:
    each = torch.tensor([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]], requires_grad=True)
    loss = losses.candidates_loss(each, others=torch.tensor([0.3, 0.0]))
    assert loss.tolist() == pytest.approx([1.0 + 0.3 * 2.0, 4.0])
    loss.sum().backward()
    assert each.grad is not None
    assert each.grad.flatten().tolist() == pytest.approx([0.1, 1.1, 0.1, 1.0, 0.0, 0.0])


def test_iou_loss_is_the_squared_error_of_the_prediction() -> None:
    logits = torch.tensor([[[1.0, -1.0], [2.0, 3.0]]])
    target = torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])
    assert losses.iou_loss(torch.tensor([0.75]), logits, target).item() == pytest.approx(0.0625)


def weighted(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The focal loss with gamma 0, whose weights have no gradient to leave out."""
    return losses.normalised_focal_loss(logits, target, gamma=0.0)


@pytest.mark.parametrize("loss", [losses.dice_loss, losses.focal_loss, weighted])
def test_gradients_agree_with_finite_differences(loss) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 4, 5, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


def test_shrink_gives_the_share_of_each_cell() -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2, :1] = True
    assert losses.shrink(masks, (2, 2)).tolist() == [[[0.5, 0.0], [0.0, 0.0]]]


def test_focal_loss_of_a_hand_computed_mask() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), -math.log(3)]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    each = [
        0.25 * 0.25 * math.log(2),  # alpha (1 - p)^2 (-log p)
        0.75 * 0.25 * math.log(2),  # (1 - alpha) p^2 (-log (1 - p))
        0.75 * 0.75**2 * math.log(4),
        0.75 * 0.25**2 * -math.log(0.75),
    ]
    assert losses.focal_loss(logits, target).item() == pytest.approx(sum(each) / 4, abs=1e-6)


def test_focal_loss_stays_finite_where_probabilities_do_not() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    loss = losses.focal_loss(logits, torch.tensor([[[0.0, 1.0]]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx((0.75 * 200 + 0.25 * 200) / 2)
    assert torch.isfinite(logits.grad).all()
