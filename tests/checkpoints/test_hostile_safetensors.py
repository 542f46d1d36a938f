"""Safetensors files and metadata that are cut, faked or made to do harm: one sentence each."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from samkit.checkpoints import read_metadata, save
from samkit.checkpoints.samkit_files import KEY
from samkit.errors import CheckpointError
from samkit.modeling import Sam

Refused = Callable[[Path], str]


def ours(sam: Sam, folder: Path) -> Path:
    save(sam, folder / "ours.safetensors", provenance={"data": "none"})
    return folder / "ours.safetensors"


def test_a_cut_safetensors_file_is_called_cut(refused: Refused, tiny: Sam, tmp_path: Path) -> None:
    path = ours(tiny, tmp_path)
    whole = path.read_bytes()
    for length in (9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cut short" in refused(path)


@pytest.mark.parametrize(
    ("length", "words"), [(2**63, "cut short"), (2**40, "cut short"), (50_000_000, "hostile")]
)
def test_a_header_of_absurd_length_is_refused_before_it_is_read(
    refused: Refused, length: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "long.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", length) + b"{")
        file.truncate(60_000_000)  # a hole, no bytes on the disk

    tracemalloc.start()
    text = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert words in text
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 10**15]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "Q9", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]},
        [],
    ],
)
def test_headers_that_disagree_with_the_file_are_refused(
    refused: Refused, entry: object, tmp_path: Path
) -> None:
    path = tmp_path / "header.safetensors"
    text = json.dumps({"image_encoder.pos_embed": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))

    assert "damaged" in refused(path)


def with_metadata(sam: Sam, folder: Path, text: str) -> Path:
    path = folder / "meta.safetensors"
    save_file(sam.state_dict(), path, {KEY: text})
    return path


def about(sam: Sam, **changes: Any) -> dict[str, Any]:
    return {"format": 1, "config": sam.config.to_dict(), "provenance": {}, **changes}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "NaN",
        "[" * 100_000,
        "9" * 10_000,
        '{"format": "1"}',
        '{"format": true}',
        '{"format": 0}',
        '{"format": 1}',
        '{"format": 1, "config": []}',
        '{"format": 1, "config": {"image_encoder": {"kind": "vit", "\\u001b[2J": 1}}}',
    ],
)
def test_hostile_metadata_is_one_sentence(
    refused: Refused, text: str, tiny: Sam, tmp_path: Path
) -> None:
    path = with_metadata(tiny, tmp_path, text)

    assert "\x1b" not in refused(path)
    with pytest.raises(CheckpointError):
        read_metadata(path)


def test_a_newer_format_asks_for_a_newer_samkit(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    path = with_metadata(tiny, tmp_path, json.dumps(about(tiny, format=99)))

    assert "format '99' by a newer samkit" in refused(path)


def test_a_provenance_that_is_no_object_is_refused(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    path = with_metadata(tiny, tmp_path, json.dumps(about(tiny, provenance="trust me")))

    assert "provenance" in refused(path)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("image_encoder", {"embed_dim": 16_384, "depth": 128}),
        ("image_encoder", {"depth": 100}),
        ("image_encoder", {"num_heads": 0}),
        ("image_encoder", {"num_heads": 1000}),
        ("image_encoder", {"img_size": 0}),
        ("image_encoder", {"img_size": 65}),
        ("image_encoder", {"patch_size": 0}),
        ("image_encoder", {"mlp_ratio": 1e4}),
        ("prompt_encoder", {"embed_dim": 0}),
        ("prompt_encoder", {"embed_dim": 60_000, "mask_in_chans": 60_000}),
        ("mask_decoder", {"mixer_depth": 60_000}),
        ("mask_decoder", {"num_multimask_outputs": 60_000}),
        ("mask_decoder", {"iou_head_depth": 60_000}),
        ("mask_decoder", {"transformer_depth": 60_000}),
        ("mask_decoder", {"attention_downsample_rate": 0}),
        (None, {"pixel_std": [0.0, 1.0, 1.0]}),
        (None, {"pixel_mean": [1.0]}),
    ],
)
def test_configurations_that_do_not_fit_the_tensors_cost_no_memory(
    refused: Refused, part: str | None, changes: dict[str, Any], tiny: Sam, tmp_path: Path
) -> None:
    values = about(tiny)
    (values["config"] if part is None else values["config"][part]).update(changes)
    path = with_metadata(tiny, tmp_path, json.dumps(values))

    refused(path)


def test_a_pyramid_of_impossible_stages_is_refused(
    refused: Refused, tiny_pyramid: Sam, tmp_path: Path
) -> None:
    for changes in (
        {"stage_depths": [60_000] * 5},
        {"stage_depths": [1]},
        {"stage_strides": [1, 1, 1, 1, 1]},
        {"stage_kernels": [0] * 5},
    ):
        values = about(tiny_pyramid)
        values["config"]["image_encoder"].update(changes)
        refused(with_metadata(tiny_pyramid, tmp_path, json.dumps(values)))
