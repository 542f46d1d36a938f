"""A tiny random model in a file, photographs, and the command in this very process."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from samkit.checkpoints import save
from samkit.checkpoints.precision import cpu_model
from samkit.cli.main import main
from samkit.files import write_json
from samkit.modeling import MaskDecoderConfig, PromptEncoderConfig, Sam, SamConfig, ViTConfig

TINY = SamConfig(
    ViTConfig(
        img_size=64,
        embed_dim=32,
        depth=2,
        num_heads=2,
        mlp_ratio=2.0,
        out_chans=16,
        window_size=3,
        global_attn_indexes=(1,),
    ),
    PromptEncoderConfig(embed_dim=16, mask_in_chans=8),
    MaskDecoderConfig(num_heads=2, mlp_dim=24, iou_head_hidden_dim=20),
)


class Result(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def random_model(path: Path, seed: int) -> Path:
    generator = torch.Generator().manual_seed(seed)
    sam = Sam(TINY)
    for tensor in sam.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 * torch.randn(tensor.shape, generator=generator))
    save(sam.eval(), path, provenance={"licence": "none"})
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose masks are noise, but many."""
    return random_model(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one."""
    return random_model(tmp_path_factory.mktemp("models") / "other.safetensors", 1)


@pytest.fixture(scope="session")
def everything(tiny: Path) -> list[str]:
    """Flags with which the tiny model keeps what it finds, quickly."""
    thresholds = ["--pred-iou-thresh", "0", "--stability-score-thresh", "0"]
    return ["--model", str(tiny), "--points-per-side", "3", *thresholds]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test runs in a folder of its own, with a cache of its own."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SAMKIT_CACHE", str(cache))
    key = f"{cpu_model()} / torch {torch.__version__}"
    write_json(cache / "precision.json", {key: 1.0})  # so that no test measures
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    os.chdir(tmp_path)


def make_photograph(path: Path, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Path:
    """A picture of blocks in random colours, H x W."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size[::-1], Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def photograph() -> Callable[..., Path]:
    """`make_photograph`, for tests that need more of them."""
    return make_photograph


@pytest.fixture
def photos(here: Path) -> Path:
    """photos/a.png and photos/sub/b.jpg."""
    make_photograph(here / "photos" / "a.png", 0)
    make_photograph(here / "photos" / "sub" / "b.jpg", 1, (50, 30))
    return Path("photos")


@pytest.fixture
def samkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`samkit(*words)` as if typed; words may be paths and lists of words."""

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = main(list(_flat(words)))
        return Result(code, *capsys.readouterr())

    return run


def _flat(words: Iterable[object]) -> Iterator[str]:
    for word in words:
        if isinstance(word, list):
            yield from _flat(word)
        else:
            yield str(word)
