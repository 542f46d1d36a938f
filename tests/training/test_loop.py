"""The loop on two tiny photographs: it learns, resumes bit for bit, and survives."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from samkit.errors import SamkitError
from samkit.masks import rle
from samkit.modeling import (
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    Sam,
    SamConfig,
)
from samkit.training.loader import CropLoader, Photo
from samkit.training.loop import Trainer, learning_rate
from samkit.training.recipes import RECIPES

TINY = SamConfig(
    PyramidConfig(
        img_size=128,
        stem_chans=8,
        stage_chans=(8, 8, 8, 16, 16, 16, 16),
        stage_depths=(1,) * 7,
        out_chans=16,
    ),
    PromptEncoderConfig(embed_dim=16, mask_in_chans=8, prompt_maps=True),
    MaskDecoderConfig(num_heads=2, mlp_dim=32, iou_head_hidden_dim=16, mixer_depth=1, dropout=0.1),
)
RECIPE = dataclasses.replace(
    RECIPES["debug"], steps=6, warmup=2, cooldown=2, long_side=(100.0, 140.0)
)


def photos() -> list[Photo]:
    rng = np.random.default_rng(3)
    out = []
    for i in range(2):
        image = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
        masks = np.zeros((2, 90, 120), bool)
        masks[0, 20:60, 30 + 10 * i : 80] = True
        masks[1, 5:40, 85:115] = True
        image[masks[0]] = 250
        annotations = [
            {"bbox": box, "area": int(m.sum()), "segmentation": code}
            for m, code, box in zip(
                masks,
                rle.encode(masks),
                [[30 + 10 * i, 20, 50 - 10 * i, 40], [85, 5, 30, 35]],
                strict=True,
            )
        ]
        out.append(Photo("made", str(i), image, annotations))
    return out


def trainer(folder: Path) -> Trainer:
    torch.manual_seed(0)
    return Trainer(Sam(TINY), photos(), RECIPE, folder)


def test_a_resumed_run_is_equal_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run()
    first = trainer(tmp_path / "parts")
    first.run(until=3)
    second = trainer(tmp_path / "parts")
    assert second.step == 3
    second.run()
    for name, value in whole.sam.state_dict().items():
        assert torch.equal(value, second.sam.state_dict()[name]), name
        assert torch.equal(whole.averaged[name], second.averaged[name]), name


def test_every_parameter_moves(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    before = {name: value.detach().clone() for name, value in run.sam.named_parameters()}
    run.run()
    still = [n for n, v in run.sam.named_parameters() if torch.equal(v, before[n])]
    assert not still


def test_ten_steps_without_a_finite_loss_end_the_run(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.recipe = dataclasses.replace(RECIPE, steps=30)
    with torch.no_grad():
        run.sam.mask_decoder.iou_token.weight.fill_(float("nan"))
    before = run.sam.image_encoder.fine_2.weight.detach().clone()
    with pytest.raises(SamkitError, match="10 steps in a row"):
        run.run()
    assert run.skipped == 10
    assert torch.equal(before, run.sam.image_encoder.fine_2.weight)


def test_batches_depend_on_their_number_alone() -> None:
    loader = CropLoader(photos(), RECIPE, 128, 8)
    ahead = list(loader.batches(0, 5))
    alone = loader.batch(4)
    assert len(ahead[4]) == len(alone)
    for a, b in zip(ahead[4], alone, strict=True):
        assert np.array_equal(a.image, b.image) and np.array_equal(a.masks, b.masks)


def test_learning_rate_rises_stays_and_falls() -> None:
    recipe = dataclasses.replace(RECIPE, steps=100, warmup=10, cooldown=20, lr=1.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[80] == 1.0
    assert rates[99] == pytest.approx(0.05)
