"""Small random models whose every number matters, and a cache folder of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samkit.checkpoints import load
from samkit.checkpoints.precision import cpu_model
from samkit.errors import CheckpointError
from samkit.files import write_json
from samkit.modeling import (
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    Sam,
    SamConfig,
    ViTConfig,
)

TINY = SamConfig(
    ViTConfig(
        img_size=64,
        embed_dim=32,
        depth=3,
        num_heads=2,
        mlp_ratio=2.0,
        out_chans=16,
        window_size=3,
        global_attn_indexes=(1,),
    ),
    PromptEncoderConfig(embed_dim=16, mask_in_chans=8),
    MaskDecoderConfig(mlp_dim=24, iou_head_hidden_dim=20, iou_head_depth=4),
)
"""The published architecture, as small as it gets."""

TINY_PYRAMID = SamConfig(
    PyramidConfig(
        img_size=64,
        stem_chans=8,
        stage_chans=(8, 8, 8, 8, 8),
        stage_depths=(1, 1, 1, 1, 1),
        stage_strides=(1, 2, 2, 2, 2),
        stage_kernels=(3, 3, 3, 3, 3),
        stage_expansions=(1, 2, 2, 2, 2),
        out_chans=16,
    ),
    PromptEncoderConfig(embed_dim=16, mask_in_chans=8, prompt_maps=True),
    MaskDecoderConfig(
        num_heads=4,
        mlp_dim=24,
        iou_head_hidden_dim=20,
        mixer_depth=1,
        upscaling_activation="relu",
    ),
    pixel_mean=(127.0, 127.0, 127.0),
    pixel_std=(128.0, 128.0, 128.0),
)
"""The default model's architecture, as small as it gets."""


def random_sam(config: SamConfig, seed: int = 0) -> Sam:
    """A model in which no weight is at its initial value."""
    generator = torch.Generator().manual_seed(seed)
    sam = Sam(config)
    for tensor in sam.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 * torch.randn(tensor.shape, generator=generator))
    for name, tensor in sam.state_dict().items():
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    return sam.eval()


@torch.no_grad()
def answer(sam: Sam) -> list[torch.Tensor]:
    """What a model says to one image with a point, and to its mask prompt."""
    generator = torch.Generator().manual_seed(1)
    size = sam.image_encoder.img_size
    image = 255 * torch.rand(3, size, size, generator=generator)
    low = sam.prompt_encoder.mask_input_size
    record = {
        "image": image,
        "original_size": (size, size),
        "point_coords": torch.tensor([[[20.0, 30.0], [50.0, 10.0]]]),
        "point_labels": torch.tensor([[1, 0]]),
        "mask_inputs": torch.randn(1, 1, *low, generator=generator),
    }
    out = sam([record], multimask_output=True)[0]
    return [out["low_res_logits"], out["iou_predictions"]]


@pytest.fixture
def same_answer() -> Callable[[Sam, Sam], bool]:
    """Whether two models say exactly the same."""
    return lambda one, other: all(
        torch.equal(a, b) for a, b in zip(answer(one), answer(other), strict=True)
    )


@pytest.fixture
def make_sam() -> Callable[..., Sam]:
    """`random_sam` of a configuration and a seed."""
    return random_sam


@pytest.fixture
def tiny() -> Sam:
    return random_sam(TINY)


@pytest.fixture
def tiny_pyramid() -> Sam:
    return random_sam(TINY_PYRAMID)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that no other test and no user sees."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SAMKIT_CACHE", str(folder))
    key = f"{cpu_model()} / torch {torch.__version__}"
    write_json(folder / "precision.json", {key: 1.0})  # so that no test measures unless it wants to
    return folder


@pytest.fixture
def refused() -> Callable[[Path], str]:
    """The one sentence with which a file is refused."""

    def sentence(path: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            load(path, device="cpu", dtype="float32")
        text = str(caught.value)
        assert str(path) in text or str(path.parent) in text
        assert text.endswith(".") and "\n" not in text and len(text) < 1000
        return text

    return sentence
