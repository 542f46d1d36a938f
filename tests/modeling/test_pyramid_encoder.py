"""The convolutional encoder's finer features."""

import dataclasses

import pytest
import torch

from samkit.modeling import PyramidEncoder
from samkit.modeling.pyramid_encoder import FineLevel


def encoder_of(sam, fine_chans: int) -> PyramidEncoder:
    """The encoder of a small model, otherwise of the same sizes, with weights of its own."""
    torch.manual_seed(1)
    config = dataclasses.replace(sam.config.image_encoder, fine_chans=fine_chans)
    return PyramidEncoder(config).eval()


def test_a_model_trained_without_fine_levels_can_be_given_them(small):
    sam = small("default")
    plain, given = encoder_of(sam, 0), encoder_of(sam, 4)
    missing = given.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys and len(missing.missing_keys) == 18
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        (embedding, fine), (same, finer) = map(lambda e: e.forward_with_fine(image), (plain, given))
    assert torch.equal(embedding, same)
    assert fine["stride_4"].shape == (2, 8, 16, 16) and fine["stride_2"].shape == (2, 4, 32, 32)
    assert all(torch.equal(fine[name], finer[name]) for name in fine)


def test_fine_levels_start_to_learn_though_they_start_at_zero(small):
    given = encoder_of(small("default"), 4)
    fine = given.forward_with_fine(torch.randn(1, 3, 64, 64))[1]
    (fine["stride_4"].square().sum() + fine["stride_2"].square().sum()).backward()
    for level in given.fine_levels:
        assert level.out.weight.grad.abs().sum() > 0


def test_fine_levels_are_no_part_of_the_embedding(small):
    given = encoder_of(small("default"), 4)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        embedding, fine = given.forward_with_fine(image)
        for level in given.fine_levels:
            level.out.bias += 1
        same, moved = given.forward_with_fine(image)
    assert torch.equal(embedding, same)
    for name in fine:
        assert torch.allclose(moved[name], fine[name] + 1, atol=1e-5)


@pytest.mark.parametrize("changed", ["own", "coarser"])
def test_a_fine_level_sees_two_cells_around_and_what_they_lie_in(changed):
    torch.manual_seed(0)
    level = FineLevel(chans=3, coarser=5, dim=8, out=2).eval()
    torch.nn.init.normal_(level.out.weight)
    own, coarser = torch.randn(1, 3, 24, 24), torch.randn(1, 5, 12, 12)
    with torch.no_grad():
        before, kept = level(own, coarser)
        if changed == "own":
            own[..., 11, 12] += 3
            rows, columns = slice(9, 14), slice(10, 15)
        else:
            coarser[..., 5, 6] += 3  # cells 10, 11 and 12, 13 of the finer level
            rows, columns = slice(8, 14), slice(10, 16)
        after, _ = level(own, coarser)
    assert before.shape == (1, 2, 24, 24) and kept.shape == (1, 8, 24, 24)
    moved = (before != after).any(1)[0]
    assert moved[rows, columns].float().mean() > 0.6  # ReLU may hide some
    moved[rows, columns] = False
    assert not moved.any()
