"""Fixtures that several rooms use."""

import functools
import gc
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest
import skimage.data
import torch
from forked import Forked
from PIL import Image

from samkit.modeling import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    Sam,
    SamConfig,
    ViTConfig,
)

SHARED = Path(os.environ.get("SAMKIT_SHARED", Path(__file__).resolve().parents[2] / "shared"))

hypothesis.settings.register_profile("samkit", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("samkit")  # a busy machine is no failure
gc.disable()  # until all tests are collected: what that makes is never garbage


def pytest_collection_finish() -> None:
    """The many objects of libraries and tests are never looked through, those of tests seldom."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


TOGETHER = {
    "browser": ("tests/web/",),
    "postgresql": ("postgresql",),
    "forked": (
        "test_preparing.py",
        "killed",
        "sigterm",
        "survives",
        "two_processes",
        "memory_does",
        "imported_first",
    ),
}
"""Tests that share a server of theirs, by parts of their names."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several test processes one gets all tests that share a server, so that it starts once."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            for name, parts in TOGETHER.items():
                if any(part in nodeid for part in parts):
                    return name
            return nodeid

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def forked() -> type[Forked]:
    """Runs code in a process of its own that is quick to start."""
    return Forked


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs and data that lies beside the developers' checkouts."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("needs the developers' shared folder, which a user's clone does not have")
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path) -> "Golden":
    """Outputs of the official package and the models and images that made them."""
    return Golden(shared / "golden")


def _small(window_size: int) -> SamConfig:
    return SamConfig(
        ViTConfig(
            img_size=256,
            embed_dim=64,
            depth=4,
            num_heads=4,
            window_size=window_size,
            global_attn_indexes=(1, 3),
        )
    )


GOLDEN_CONFIGS: dict[str, SamConfig] = {
    "vit_b": VARIANTS["vit_b"],
    "tiny": _small(8),
    "tiny_pad": _small(7),
    "trained": SamConfig(
        ViTConfig(
            img_size=128,
            embed_dim=128,
            depth=4,
            num_heads=4,
            window_size=5,
            global_attn_indexes=(1, 3),
            out_chans=128,
        ),
        PromptEncoderConfig(embed_dim=128),
        MaskDecoderConfig(mlp_dim=512, iou_head_hidden_dim=128),
    ),
}


class Golden:
    """The golden folder: models, images and official outputs, by the names its README uses.

    Models and images are made once a session; treat them as read-only.
    """

    images = ("astronaut", "coffee", "chelsea", "synthetic")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = _module(folder / "recipe.py")

    @functools.cache  # noqa: B019 (one object a session)
    def build_model(self, name: str) -> Sam:
        """`vit_b`, `tiny`, `tiny_pad` or `trained`, with the golden weights, in eval mode."""
        sam = Sam(GOLDEN_CONFIGS[name]).eval()
        weights: Mapping[str, np.ndarray]
        if name == "trained":
            stored = np.load(self.folder / "trained_weights.npz")
            weights = {key: stored[key].astype(np.float32) for key in stored.files}
        else:
            weights = {k: self.recipe.tensor(k, v.shape) for k, v in sam.state_dict().items()}
        sam.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        return sam

    @functools.cache  # noqa: B019
    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """NAME.npz as a dict."""
        with np.load(self.folder / f"{name}.npz") as stored:
            return {key: stored[key] for key in stored.files}

    @functools.cache  # noqa: B019
    def json(self, name: str) -> dict[str, Any]:
        """NAME.json."""
        return json.loads((self.folder / f"{name}.json").read_text())

    @functools.cache  # noqa: B019
    def image(self, image: str) -> np.ndarray:
        """One of `images`: H x W x 3 uint8."""
        if image == "synthetic":
            return self.recipe.synthetic()
        return np.asarray(getattr(skimage.data, image)())

    def resized(self, name: str, image: str) -> np.ndarray:
        """The image as model `name` sees it: its longer side resized to the input size, uint8."""
        h, w = self.json(name)["images"][image]["input_size"]
        return np.asarray(
            Image.fromarray(self.image(image)).resize((w, h), Image.Resampling.BILINEAR)
        )

    def mask_input(self, name: str) -> np.ndarray:
        """The mask prompt of the golden cases: 1 x n x n float32 logits."""
        n = GOLDEN_CONFIGS[name].image_encoder.img_size // 4
        y, x = np.mgrid[0:n, 0:n].astype(np.float64)
        distance = ((x - 0.45 * n) ** 2 + (y - 0.5 * n) ** 2) / (0.25 * n) ** 2
        return np.clip(6 * (1 - distance), -10, 10).astype(np.float32)[None]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
