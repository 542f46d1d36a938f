"""What is prompted first, and which of the three candidates learn from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from samkit.datasets.augment import Crop
from samkit.modeling import Sam, SamConfig, ViTConfig
from samkit.training import prompts
from samkit.training.loader import CropLoader
from samkit.training.photographs import Photographs
from samkit.training.recipes import Recipe, View
from samkit.training.rounds import Prompts
from samkit.training.step import PromptableStep


@pytest.mark.parametrize(("box_chance", "learning"), [(0.0, 1), (1.0, 3)])
def test_the_best_candidate_learns_from_a_point_and_all_from_a_box_where_the_recipe_says_so(
    photographs: Photographs, recipe: Recipe, tiny, box_chance: float, learning: int
) -> None:
    recipe = replace(
        recipe,
        views=(View("whole", 1),),
        box_chance=box_chance,
        rounds=(1.0,),
        others=0.0,
        others_box=0.3,
    )
    sam = tiny()
    crop = CropLoader(photographs, recipe, 128, whole_input=False).crop(0, 0)
    PromptableStep(sam, recipe).backward([crop], [np.random.default_rng(1)], batch=1)
    candidates = list(sam.mask_decoder.output_hypernetworks_mlps)[1:]
    last = [mlp.layers[-1].weight.grad for mlp in candidates]
    assert sum(grad is not None and bool(grad.any()) for grad in last) == learning


def test_every_mask_of_an_image_has_a_first_prompt_of_its_own(
    photographs: Photographs, recipe: Recipe, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[bool]] = []
    first = Prompts.first.__func__  # type: ignore[attr-defined]

    def spied(cls: type[Prompts], given: list[np.ndarray], device: torch.device) -> Prompts:
        drawn.append([len(prompt) == 4 for prompt in given])
        return first(cls, given, device)

    monkeypatch.setattr(Prompts, "first", classmethod(spied))
    recipe = replace(recipe, views=(View("whole", 4),), box_chance=0.5, rounds=(1.0,))
    crop = CropLoader(photographs, recipe, 128, whole_input=False).crop(0, 0)
    step = PromptableStep(tiny(), recipe)
    for seed in range(20):
        seen = step.backward([crop], [np.random.default_rng(seed)], batch=1)
        assert ("box" in seen, "c1" in seen) == (any(drawn[-1]), not all(drawn[-1]))
    assert any(0 < sum(kinds) < len(kinds) for kinds in drawn)
    assert np.mean([kind for kinds in drawn for kind in kinds]) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_so_many_masks_have_exact_boxes_and_the_others_noisy_ones(
    photographs: Photographs,
    recipe: Recipe,
    tiny,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = []

    def box(mask: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
        found = noisy_box(mask, rng, noise)
        moved.append(bool((found != noisy_box(mask, rng, 0.0)).any()))
        return found

    noisy_box = prompts.noisy_box
    monkeypatch.setattr(prompts, "noisy_box", box)
    recipe = replace(
        recipe, views=(View("whole", 1),), box_chance=1.0, rounds=(1.0,), exact_boxes=share
    )
    crop = CropLoader(photographs, recipe, 128, whole_input=False).crop(0, 0)
    step = PromptableStep(tiny(), recipe)
    for seed in range(40):
        step.backward([crop], [np.random.default_rng(seed)], batch=1)
    assert np.mean(moved) == pytest.approx(1 - share, abs=0.15)


def test_padding_is_what_it_is_in_use(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ViT's input is padded with zeros after normalisation, in training as in `preprocess`."""
    sam = Sam(SamConfig(ViTConfig(img_size=64, embed_dim=8, depth=1, num_heads=2)))
    seen: list[torch.Tensor] = []

    def encode(images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        seen.append(images)
        raise InterruptedError

    monkeypatch.setattr(sam, "encode", encode)
    photo = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)
    square = np.full((64, 64, 3), 127, np.uint8)
    square[:40] = photo
    crop = Crop(square, np.ones((1, 64, 64), bool), (40, 64))
    with pytest.raises(InterruptedError):
        PromptableStep(sam, recipe).backward([crop], [np.random.default_rng(0)], batch=1)
    used = sam.preprocess(torch.from_numpy(photo).permute(2, 0, 1)[None].float())
    assert torch.allclose(seen[0], used, atol=1e-6)
    assert not seen[0][:, :, 40:].any() and seen[0][:, :, :40].any()


def test_what_is_kept_for_going_backwards_is_of_one_round(
    photographs: Photographs, recipe: Recipe, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a round begins, the one before has gone backwards: its gradients are there."""
    sam = tiny()
    last = sam.mask_decoder.output_hypernetworks_mlps[0].layers[-1].weight
    before: list[bool] = []
    run = type(sam.mask_decoder).run_transformer

    def spied(decoder: torch.nn.Module, *inputs: torch.Tensor) -> object:
        before.append(last.grad is not None)
        return run(decoder, *inputs)

    monkeypatch.setattr(type(sam.mask_decoder), "run_transformer", spied)
    recipe = replace(recipe, views=(View("whole", 1),), rounds=(0.0, 0.0, 1.0), single=0.5)
    crop = CropLoader(photographs, recipe, 128, whole_input=False).crop(0, 0)
    PromptableStep(sam, recipe).backward([crop], [np.random.default_rng(1)], batch=1)
    assert before == [False, True, True]
