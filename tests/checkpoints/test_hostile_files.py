"""Files that are cut, faked or made to do harm: one sentence each, and nothing happens."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from samkit.checkpoints import export_transformers, load, read_metadata, save
from samkit.checkpoints.samkit_files import KEY
from samkit.errors import CheckpointError
from samkit.modeling import Sam


def refused(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        load(path, device="cpu", dtype="float32")
    text = str(caught.value)
    assert str(path) in text or str(path.parent) in text
    assert text.endswith(".") and "\n" not in text and len(text) < 1000
    return text


class RunsOnLoad:
    """Unpickled by an ordinary reader, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


# ---- files of torch.save


def test_a_pickle_with_code_is_named_and_never_run(tiny: Sam, tmp_path: Path) -> None:
    weights = {**tiny.state_dict(), "extra": RunsOnLoad(tmp_path / "it-ran")}
    torch.save(weights, tmp_path / "evil.pth")

    text = refused(tmp_path / "evil.pth")

    assert "mkdir" in text and "could run code" in text
    assert not (tmp_path / "it-ran").exists()


def test_a_whole_module_is_refused_as_objects(tiny: Sam, tmp_path: Path) -> None:
    torch.save(tiny, tmp_path / "module.pth")

    assert "state_dict()" in refused(tmp_path / "module.pth")


def test_a_bare_pickle_is_refused_unread(tiny: Sam, tmp_path: Path) -> None:
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(RunsOnLoad(tmp_path / "it-ran")))
    torch.save(tiny.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    assert "bare pickle" in refused(tmp_path / "bare.pth")
    assert "bare pickle" in refused(tmp_path / "old.pth")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_a_cut_torch_file_is_called_cut(part: float, tiny: Sam, tmp_path: Path) -> None:
    torch.save(tiny.state_dict(), tmp_path / "sam.pth")
    whole = (tmp_path / "sam.pth").read_bytes()
    (tmp_path / "sam.pth").write_bytes(whole[: int(len(whole) * part)])

    assert "cut short" in refused(tmp_path / "sam.pth")


def test_a_damaged_pickle_inside_a_whole_archive_is_called_damaged(
    tiny: Sam, tmp_path: Path
) -> None:
    rewrite_pickle(tiny, tmp_path / "sam.pth", lambda data: data[:40] + b"\xff" * 20 + data[60:])

    refused(tmp_path / "sam.pth")


def test_an_archive_that_grows_when_unpacked_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(50_000_000))

    assert "compressed archive" in refused(tmp_path / "bomb.pth")


def test_an_archive_whose_entries_overlap_is_refused(tiny: Sam, tmp_path: Path) -> None:
    """A stored entry that claims more bytes than the file has, in the archive's own directory."""
    torch.save(tiny.state_dict(), tmp_path / "sam.pth")
    data = bytearray((tmp_path / "sam.pth").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 2_000_000_000, 2_000_000_000)
    (tmp_path / "sam.pth").write_bytes(data)

    assert "claims more than the file can hold" in refused(tmp_path / "sam.pth")


def test_a_tensor_that_repeats_a_few_values_for_ever_is_refused(tiny: Sam, tmp_path: Path) -> None:
    weights = tiny.state_dict()
    weights["image_encoder.pos_embed"] = torch.zeros(1).expand(1, 40_000, 40_000, 32)
    torch.save(weights, tmp_path / "stride0.pth")

    assert "claims more values than it stores" in refused(tmp_path / "stride0.pth")


def test_a_zip_of_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpg", b"\xff\xd8")

    assert "not one that torch.save wrote" in refused(tmp_path / "photos.zip")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2], "a list where a state dict belongs"),
        ({}, "no tensors"),
        ({"a": 1}, "its entry 'a' is a int"),
        ({3: torch.zeros(2)}, "its entry '3' is a Tensor"),
        ({"a": torch.zeros(2)}, "no Segment Anything model"),
        ({"a": torch.eye(2).to_sparse()}, "unusual kind of tensor"),
        ({"a": torch.zeros(2, device="meta")}, "unusual kind of tensor"),
        ({"image_encoder.trunk.blocks.0.norm1.weight": torch.zeros(2)}, "looks like SAM 2"),
    ],
)
def test_what_is_no_state_dict_of_ours_is_refused(
    value: object, words: str, tmp_path: Path
) -> None:
    torch.save(value, tmp_path / "odd.pth")

    assert words in refused(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.long(),
        lambda t: t.bool(),
        lambda t: t.to(torch.complex64),
        lambda t: t.to(torch.float8_e4m3fn),
    ],
)
def test_weights_of_other_types_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], tiny: Sam, tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    weights["mask_decoder.iou_token.weight"] = change(weights["mask_decoder.iou_token.weight"])
    torch.save(weights, tmp_path / "types.pth")

    assert "of another type: mask_decoder.iou_token.weight" in refused(tmp_path / "types.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tiny: Sam, tmp_path: Path) -> None:
    with torch.no_grad():
        tiny.mask_decoder.mask_tokens.weight[1, 2] = value
    torch.save(tiny.state_dict(), tmp_path / "nan.pth")

    assert "mask_decoder.mask_tokens.weight that are not finite" in refused(tmp_path / "nan.pth")


def test_names_out_of_a_file_cannot_write_to_the_terminal(tiny: Sam, tmp_path: Path) -> None:
    weights = {**tiny.state_dict(), "\x1b[2J\nname" + "x" * 10_000: torch.zeros(1)}
    torch.save(weights, tmp_path / "names.pth")

    text = refused(tmp_path / "names.pth")

    assert "\x1b" not in text and "\\x1b[2J\\nname" in text


def rewrite_pickle(sam: Sam, path: Path, change: Callable[[bytes], bytes]) -> None:
    """A file of torch.save whose pickle was changed and whose archive is in order."""
    buffer = io.BytesIO()
    torch.save(sam.state_dict(), buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, change(data) if entry.filename.endswith("pkl") else data)


# ---- safetensors


def ours(sam: Sam, folder: Path) -> Path:
    save(sam, folder / "ours.safetensors", provenance={"data": "none"})
    return folder / "ours.safetensors"


def test_a_cut_safetensors_file_is_called_cut(tiny: Sam, tmp_path: Path) -> None:
    path = ours(tiny, tmp_path)
    whole = path.read_bytes()
    for length in (9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cut short" in refused(path)


@pytest.mark.parametrize(
    ("length", "words"), [(2**63, "cut short"), (2**40, "cut short"), (50_000_000, "hostile")]
)
def test_a_header_of_absurd_length_is_refused_before_it_is_read(
    length: int, words: str, tmp_path: Path
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
def test_headers_that_disagree_with_the_file_are_refused(entry: object, tmp_path: Path) -> None:
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
def test_hostile_metadata_is_one_sentence(text: str, tiny: Sam, tmp_path: Path) -> None:
    path = with_metadata(tiny, tmp_path, text)

    assert "\x1b" not in refused(path)
    with pytest.raises(CheckpointError):
        read_metadata(path)


def test_a_newer_format_asks_for_a_newer_samkit(tiny: Sam, tmp_path: Path) -> None:
    path = with_metadata(tiny, tmp_path, json.dumps(about(tiny, format=99)))

    assert "format '99' by a newer samkit" in refused(path)


def test_a_provenance_that_is_no_object_is_refused(tiny: Sam, tmp_path: Path) -> None:
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
    part: str | None, changes: dict[str, Any], tiny: Sam, tmp_path: Path
) -> None:
    values = about(tiny)
    (values["config"] if part is None else values["config"][part]).update(changes)
    path = with_metadata(tiny, tmp_path, json.dumps(values))

    refused(path)


def test_a_pyramid_of_impossible_stages_is_refused(tiny_pyramid: Sam, tmp_path: Path) -> None:
    for changes in (
        {"stage_depths": [60_000] * 5},
        {"stage_depths": [1]},
        {"stage_strides": [1, 1, 1, 1, 1]},
        {"stage_kernels": [0] * 5},
    ):
        values = about(tiny_pyramid)
        values["config"]["image_encoder"].update(changes)
        refused(with_metadata(tiny_pyramid, tmp_path, json.dumps(values)))


# ---- folders


@pytest.fixture
def folder(tiny: Sam, tmp_path: Path) -> Path:
    export_transformers(tiny, tmp_path / "exported")
    return tmp_path / "exported"


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    assert "has no config.json" in refused(tmp_path)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    assert "has no model.safetensors" in refused(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "no JSON"),
        ('{"model_type": "sam2"}', "of type 'sam2'"),
        ("{}", "of type 'None'"),
        ('{"model_type": "sam", "vision_config": 3}', "no JSON object"),
        ('{"model_type": "sam", "vision_config": {"hidden_act": "silu"}}', "hidden_act 'silu'"),
        ('{"model_type": "sam", "vision_config": {"hidden_size": "wide"}}', "embed_dim"),
        ('{"model_type": "sam", "vision_config": {"image_size": [64, 32]}}', "img_size"),
    ],
)
def test_hostile_configurations_of_a_folder_are_refused(
    text: str, words: str, folder: Path
) -> None:
    (folder / "config.json").write_text(text)

    assert words in refused(folder)


def test_a_preprocessor_with_odd_statistics_is_refused(folder: Path) -> None:
    for mean in ("[NaN, 1, 1]", "[1e400]", '["a"]', "[1" + "0" * 400 + "]", "3"):
        (folder / "preprocessor_config.json").write_text(f'{{"image_mean": {mean}}}')
        refused(folder)


def test_an_index_cannot_reach_out_of_its_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = folder / "model.safetensors.index.json"
    for places in ({"a": "../outside.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, ["a"]):
        index.write_text(json.dumps({"weight_map": places}))
        refused(folder)
    index.write_text(json.dumps({"weight_map": {"a": "missing.safetensors"}}))
    assert "lacks 'missing.safetensors'" in refused(folder)


def test_two_fourier_matrices_that_differ_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    again = weights["shared_image_embedding.positional_embedding"] + 1
    weights["prompt_encoder.shared_embedding.positional_embedding"] = again
    save_file(weights, folder / "model.safetensors")

    assert "two Fourier matrices" in refused(folder)


def test_names_that_a_sam_model_does_not_have_are_listed(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_encoder.weight"] = torch.zeros(1)
    save_file(weights, folder / "model.safetensors")

    assert "'text_encoder.weight'" in refused(folder)


# ---- other files


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Not found", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "no checkpoint that samkit knows"),
        (b"PK\x03\x04", "cut short"),
    ],
)
def test_what_is_no_checkpoint_is_told_apart(start: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(start)

    assert words in refused(tmp_path / "file.pth")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "no model" in refused(tmp_path / "pipe")
