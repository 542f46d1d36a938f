"""The course of the learning rate, who learns at which share of it, and averaged weights."""

from dataclasses import replace

import pytest
import torch

from samkit.modeling import Sam, SamConfig, ViTConfig
from samkit.training.optimiser import AveragedWeights, learning_rate, parameter_groups, rate_scale
from samkit.training.recipes import RECIPES

VIT = ViTConfig(
    img_size=32, embed_dim=16, depth=3, num_heads=2, window_size=1, global_attn_indexes=(2,)
)


def test_the_papers_rate_warms_up_and_drops_twice() -> None:
    recipe = RECIPES["vit_h"]
    rates = {step: learning_rate(recipe, step) for step in (0, 249, 59_999, 60_000, 86_665, 86_666)}
    assert rates[0] == pytest.approx(8e-4 / 250)
    assert rates[249] == rates[59_999] == pytest.approx(8e-4)
    assert rates[60_000] == rates[86_665] == pytest.approx(8e-5)
    assert rates[86_666] == pytest.approx(8e-6)


def test_the_small_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = replace(RECIPES["default"], steps=100, warmup=10, cooldown=0.2, lr=1.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[80] == 1.0
    assert rates[99] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "steps", "batch", "lr", "decay", "drop_path"),
    [
        ("vit_h", 90_000, 256, 8e-4, 0.8, 0.4),
        ("vit_l", 180_000, 128, 4e-4, 0.8, 0.4),
        ("vit_b", 180_000, 128, 8e-4, 0.6, 0.6),
        ("amg", 177_656, 256, 8e-4, 0.8, 0.4),
    ],
)
def test_the_papers_recipes(name, steps, batch, lr, decay, drop_path) -> None:
    recipe = RECIPES[name]
    assert (recipe.steps, recipe.batch, recipe.lr) == (steps, batch, lr)
    assert (recipe.layer_decay, recipe.drop_path) == (decay, drop_path)
    assert (recipe.pixel, recipe.dice, recipe.iou) == (20, 1, 1)
    assert recipe.weight_decay == 0.1 and recipe.betas == (0.9, 0.999)


def test_earlier_blocks_learn_more_slowly() -> None:
    sam = Sam(SamConfig(VIT))
    recipe = replace(RECIPES["vit_b"], layer_decay=0.5)
    assert rate_scale(sam, recipe, "image_encoder.patch_embed.proj.weight") == 0.5**4
    assert rate_scale(sam, recipe, "image_encoder.pos_embed") == 0.5**4
    assert rate_scale(sam, recipe, "image_encoder.blocks.0.norm1.weight") == 0.5**3
    assert rate_scale(sam, recipe, "image_encoder.blocks.2.norm1.weight") == 0.5
    assert rate_scale(sam, recipe, "image_encoder.neck.0.weight") == 1
    assert rate_scale(sam, recipe, "mask_decoder.iou_token.weight") == 1


def test_every_parameter_is_in_one_group_and_tables_do_not_decay() -> None:
    sam = Sam(SamConfig(VIT))
    groups = parameter_groups(sam, RECIPES["vit_b"])
    found = {id(value): group for group in groups for value in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups)
    for name, value in sam.named_parameters():
        decay = found[id(value)]["weight_decay"]
        free = value.dim() == 1 or any(
            word in name for word in ("rel_pos", "pos_embed", "_token", "_embed.w", "embeddings")
        )
        free &= "patch_embed" not in name
        assert decay == (0 if free or value.dim() == 1 else 0.1), name


def test_averaged_weights_follow_faster_at_first() -> None:
    sam = Sam(SamConfig(VIT))
    averaged = AveragedWeights(sam, 0.9)
    start = averaged.values["mask_decoder.iou_token.weight"].clone()
    with torch.no_grad():
        sam.mask_decoder.iou_token.weight.add_(1.0)
    averaged.update(sam, step=0)  # decay 1/10
    moved = averaged.values["mask_decoder.iou_token.weight"] - start
    assert torch.allclose(moved, torch.tensor(0.9), atol=1e-6)
    averaged.update(sam, step=1000)  # decay .9
    moved = averaged.values["mask_decoder.iou_token.weight"] - start
    assert torch.allclose(moved, torch.tensor(0.91), atol=1e-6)
