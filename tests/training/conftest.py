"""A tiny model and two tiny photographs to train on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.modeling import MaskDecoderConfig, PromptEncoderConfig, PyramidConfig, Sam, SamConfig
from samkit.training.loop import Trainer
from samkit.training.photographs import Photographs
from samkit.training.recipes import RECIPES, Recipe

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


@pytest.fixture
def recipe() -> Recipe:
    return replace(RECIPES["debug"], steps=6, warmup=2, cooldown=0.3, crop_scale=(0.8, 1.1))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of two photographs with two masks each."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(3)
    with StoreWriter(folder) as writer:
        for i in range(4):
            image = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
            masks = np.zeros((2, 90, 120), bool)
            masks[0, 20:60, 30 + 10 * i : 80] = True
            masks[1, 5:40, 85:115] = True
            image[masks[0]] = 250
            records = [from_mask(mask, i + 1) for i, mask in enumerate(masks)]
            writer.write(image, records, name=f"{'ab'[i % 2]}/{i}")
    return folder


@pytest.fixture
def photographs(store: Path) -> Photographs:
    return Photographs([("store", StoreReader(store))])


@pytest.fixture
def tiny() -> Callable[[], Sam]:
    def make() -> Sam:
        torch.manual_seed(0)
        return Sam(TINY).train()

    return make


@pytest.fixture
def trainer(
    tiny: Callable[[], Sam], photographs: Photographs, recipe: Recipe
) -> Callable[..., Trainer]:
    def make(folder: Path, **changes: object) -> Trainer:
        return Trainer(tiny(), photographs, replace(recipe, **changes), folder)

    return make
