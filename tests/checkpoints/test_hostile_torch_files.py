"""Files of torch.save that are cut, faked or made to do harm: a sentence each, nothing happens."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samkit.modeling import Sam

Refused = Callable[[Path], str]


class RunsOnLoad:
    """Unpickled by an ordinary reader, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_with_code_is_named_and_never_run(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    weights = {**tiny.state_dict(), "extra": RunsOnLoad(tmp_path / "it-ran")}
    torch.save(weights, tmp_path / "evil.pth")

    text = refused(tmp_path / "evil.pth")

    assert "mkdir" in text and "could run code" in text
    assert not (tmp_path / "it-ran").exists()


def test_a_whole_module_is_refused_as_objects(refused: Refused, tiny: Sam, tmp_path: Path) -> None:
    torch.save(tiny, tmp_path / "module.pth")

    assert "state_dict()" in refused(tmp_path / "module.pth")


def test_a_bare_pickle_is_refused_unread(refused: Refused, tiny: Sam, tmp_path: Path) -> None:
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(RunsOnLoad(tmp_path / "it-ran")))
    torch.save(tiny.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    assert "bare pickle" in refused(tmp_path / "bare.pth")
    assert "bare pickle" in refused(tmp_path / "old.pth")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_a_cut_torch_file_is_called_cut(
    refused: Refused, part: float, tiny: Sam, tmp_path: Path
) -> None:
    torch.save(tiny.state_dict(), tmp_path / "sam.pth")
    whole = (tmp_path / "sam.pth").read_bytes()
    (tmp_path / "sam.pth").write_bytes(whole[: int(len(whole) * part)])

    assert "cut short" in refused(tmp_path / "sam.pth")


def test_a_damaged_pickle_inside_a_whole_archive_is_called_damaged(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    rewrite_pickle(tiny, tmp_path / "sam.pth", lambda data: data[:40] + b"\xff" * 20 + data[60:])

    refused(tmp_path / "sam.pth")


def test_an_archive_that_grows_when_unpacked_is_refused(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(50_000_000))

    assert "compressed archive" in refused(tmp_path / "bomb.pth")


def test_an_archive_whose_entries_overlap_is_refused(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    """A stored entry that claims more bytes than the file has, in the archive's own directory."""
    torch.save(tiny.state_dict(), tmp_path / "sam.pth")
    data = bytearray((tmp_path / "sam.pth").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 2_000_000_000, 2_000_000_000)
    (tmp_path / "sam.pth").write_bytes(data)

    assert "claims more than the file can hold" in refused(tmp_path / "sam.pth")


def test_a_tensor_that_repeats_a_few_values_for_ever_is_refused(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    weights["image_encoder.pos_embed"] = torch.zeros(1).expand(1, 40_000, 40_000, 32)
    torch.save(weights, tmp_path / "stride0.pth")

    assert "claims more values than it stores" in refused(tmp_path / "stride0.pth")


def test_a_zip_of_something_else_is_no_checkpoint(refused: Refused, tmp_path: Path) -> None:
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
    refused: Refused, value: object, words: str, tmp_path: Path
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
    refused: Refused, change: Callable[[torch.Tensor], torch.Tensor], tiny: Sam, tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    weights["mask_decoder.iou_token.weight"] = change(weights["mask_decoder.iou_token.weight"])
    torch.save(weights, tmp_path / "types.pth")

    assert "of another type: mask_decoder.iou_token.weight" in refused(tmp_path / "types.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(
    refused: Refused, value: float, tiny: Sam, tmp_path: Path
) -> None:
    with torch.no_grad():
        tiny.mask_decoder.mask_tokens.weight[1, 2] = value
    torch.save(tiny.state_dict(), tmp_path / "nan.pth")

    assert "mask_decoder.mask_tokens.weight that are not finite" in refused(tmp_path / "nan.pth")


def test_names_out_of_a_file_cannot_write_to_the_terminal(
    refused: Refused, tiny: Sam, tmp_path: Path
) -> None:
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
def test_what_is_no_checkpoint_is_told_apart(
    refused: Refused, start: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "file.pth").write_bytes(start)

    assert words in refused(tmp_path / "file.pth")


def test_a_pipe_is_not_waited_for(refused: Refused, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "no model" in refused(tmp_path / "pipe")
