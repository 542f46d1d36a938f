"""Our own format: what is saved comes back, with everything that was said about it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from samkit.checkpoints import Metadata, load, read_metadata, save
from samkit.checkpoints.safetensors_files import write_safetensors
from samkit.errors import CheckpointError, UsageError
from samkit.modeling import Sam

PROVENANCE = {
    "data": ["store A", "Bücher"],
    "recipe": {"steps": 1000, "lr": 1e-4},
    "metrics": {"miou": 0.5},
    "licence": "Apache-2.0",
}


def test_configuration_and_provenance_come_back(tiny_pyramid: Sam, tmp_path: Path) -> None:
    save(tiny_pyramid, tmp_path / "a.safetensors", provenance=PROVENANCE)

    assert read_metadata(tmp_path / "a.safetensors") == Metadata(tiny_pyramid.config, PROVENANCE)


def test_the_same_model_gives_the_same_bytes(
    tiny: Sam, make_sam: Callable[..., Sam], tmp_path: Path
) -> None:
    again = make_sam(tiny.config)
    save(tiny, tmp_path / "a", provenance=PROVENANCE)
    save(again, tmp_path / "b", provenance=dict(reversed(PROVENANCE.items())))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4),
        "b": torch.tensor(7),
        "c": torch.randn(5).half(),
        "d": torch.randn(2, 3).double(),
        "e": torch.randn(4, 2).T.bfloat16(),
        "f": torch.zeros(0, 3),
    }
    write_safetensors(tmp_path / "t", tensors, {"k": "ü"})

    with safe_open(tmp_path / "t", "pt") as file:
        assert file.metadata() == {"k": "ü"}
        assert set(file.keys()) == set(tensors)
        for name, tensor in tensors.items():
            stored = file.get_tensor(name)
            assert stored.dtype == tensor.dtype and torch.equal(stored, tensor)


def test_float16_halves_the_file_and_rounds_once(tiny: Sam, tmp_path: Path) -> None:
    save(tiny, tmp_path / "full", provenance={})
    save(tiny, tmp_path / "half", provenance={}, dtype="float16")

    assert os.path.getsize(tmp_path / "half") < 0.6 * os.path.getsize(tmp_path / "full")
    loaded = load(tmp_path / "half", device="cpu", dtype="float32").state_dict()
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(loaded[name], tensor.half().float())


def test_a_model_in_bfloat16_keeps_its_types(tiny: Sam, tmp_path: Path) -> None:
    save(tiny, tmp_path / "a", provenance={})
    rough = load(tmp_path / "a", device="cpu", dtype="bfloat16")
    save(rough, tmp_path / "b", provenance={})

    with safe_open(tmp_path / "b", "pt") as file:
        assert file.get_slice("image_encoder.pos_embed").get_dtype() == "BF16"
        assert file.get_slice("mask_decoder.iou_token.weight").get_dtype() == "F32"


def test_what_cannot_be_saved_is_refused_and_leaves_no_file(tiny: Sam, tmp_path: Path) -> None:
    path = tmp_path / "a"
    for provenance in ({"x": float("nan")}, {"x": object()}, {"x": {1, 2}}):
        with pytest.raises(UsageError, match="plain JSON"):
            save(tiny, path, provenance=provenance)
    with pytest.raises(UsageError, match="float32 or float16, not as 'int8'"):
        save(tiny, path, provenance={}, dtype="int8")
    with torch.no_grad():
        tiny.image_encoder.pos_embed[0, 0, 0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"pos_embed are not finite as torch\.float16"):
        save(tiny, path, provenance={}, dtype="float16")

    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


def test_metadata_is_read_without_the_weights_and_only_from_our_files(
    tiny: Sam, tmp_path: Path
) -> None:
    write_safetensors(tmp_path / "foreign", tiny.state_dict(), {"format": "pt"})

    with pytest.raises(CheckpointError, match="no checkpoint that samkit saved"):
        read_metadata(tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="no file"):
        read_metadata(tmp_path / "missing")


def test_a_file_cannot_name_itself_what_it_is_not(
    make_sam: Callable[..., Sam], tiny: Sam, tmp_path: Path
) -> None:
    liar = make_sam(replace(tiny.config, variant="vit_h"))
    save(liar, tmp_path / "saved", provenance={})
    about = {"format": 1, "config": liar.config.to_dict()}
    write_safetensors(tmp_path / "written", liar.state_dict(), {"samkit": json.dumps(about)})

    for file in ("saved", "written"):
        assert read_metadata(tmp_path / file).config.variant == ""
