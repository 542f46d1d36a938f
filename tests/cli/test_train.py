"""`samkit train` on a tiny store, from images to a checkpoint."""

import csv
import errno
import json
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from samkit import checkpoints
from samkit.cli.main import main
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter
from samkit.files import held
from samkit.training.state import load_state


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    with StoreWriter(folder) as writer:
        for i in range(3):
            image = rng.integers(0, 100, (200, 240, 3), dtype=np.uint8)
            mask = np.zeros((200, 240), bool)
            mask[40:150, 30 + 20 * i : 150] = True
            image[mask] += 120
            writer.write(image, [from_mask(mask, 1)], name=str(i))
    return folder


def test_a_run_goes_from_images_to_a_checkpoint(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    words = ["train", str(data), "-o", str(out), "--recipe", "debug"]
    assert main([*words, "--until", "2"]) == 0
    assert "stopped after step 2" in capsys.readouterr().err
    assert main(words) == 0
    assert str(out / "model.safetensors") in capsys.readouterr().err
    assert checkpoints.load(out / "model.safetensors", device="cpu")
    with open(out / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert all(float(row["loss"]) > 0 for row in rows)
    for picture in ("curves.png", "samples.jpg"):
        assert min(Image.open(out / picture).size) > 200
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--recipe", "nosuch"], "nosuch is no recipe; known are debug, default, finetune"),
        (["--recipe", "debug", "--freeze", "decoder"], "No parameter is called decoder"),
        (["--recipe", "debug", "--init", "nosuch.pth"], "nosuch.pth"),
        (["--recipe", "vit_b", "--init", "imagenet"], "fit the default model"),
        (["--recipe", "debug", "--seed", "-1"], "--seed takes a number from 0"),
        (["--recipe", "debug", "--lr", "inf"], "--lr must be a finite number"),
        (["--recipe", "debug", "--until", "-1"], "--until must be more than 0"),
        (["--recipe", "debug", "--workers", "0"], "--workers must be more than 0"),
        (["--recipe", "debug", "--shard-mb", "0"], "--shard-mb must be at least 1"),
        (["--recipe", "debug", "--synthetic", "2", "--textures", "nowhere"], "nowhere"),
        (["--recipe", "debug", "--textures", "photos"], "add --synthetic"),
    ],
)
def test_wrong_wishes_are_one_sentence(
    data: Path, tmp_path: Path, capsys, words: list[str], sentence: str
) -> None:
    assert main(["train", str(data), "-o", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("textures", [False, True])
def test_a_run_among_its_data_is_refused(
    data: Path, tmp_path: Path, capsys, textures: bool
) -> None:
    """It would take its own samples.jpg for a photograph, its state.json for masks."""
    folder = tmp_path / "photos"
    shutil.copytree(data, folder)
    (tmp_path / "link").symlink_to(folder)
    words = ["train", str(folder)]
    if textures:
        words = ["train", str(data), "--synthetic", "2", "--textures", str(folder)]
    for out in (folder, folder / "run", tmp_path / "link" / "deep" / "run"):
        assert main([*words, "-o", str(out), "--recipe", "debug", "--steps", "1"]) == 2
        error = capsys.readouterr().err
        assert f"{out} lies in {folder}" in error and error.count("\n") == 1
    assert not (folder / "run").exists()


def test_synthetic_scenes_take_their_textures_from_photographs(
    data: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    words = ["--recipe", "debug", "--synthetic", "2", "--textures", str(data), "--steps", "1"]
    assert main(["train", str(data), "-o", str(out), *words]) == 0
    about = checkpoints.read_metadata(out / "model.safetensors").provenance
    assert about["data"] == {data.stem: 3, "synthetic": 2}


def test_what_is_broken_or_empty_is_named_and_stops_nothing(tmp_path: Path, capsys) -> None:
    """A photograph without masks, one with a bad mask, and a log that a power cut has shortened."""
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "data") as writer:
        for i in range(3):
            image = rng.integers(0, 255, (200, 240, 3), dtype=np.uint8)
            mask = np.zeros((200, 240), bool)
            mask[40:150, 30:150] = i > 0
            writer.write(image, [from_mask(mask, n) for n in (1, 2)] if i else [], name=str(i))
    path = tmp_path / "data" / "2.json"
    document = json.loads(path.read_text())
    document["annotations"][1]["segmentation"]["counts"] = "no code"
    path.write_text(json.dumps(document))
    out = tmp_path / "run"
    words = ["train", str(tmp_path / "data"), "-o", str(out), "--recipe", "debug"]
    assert main([*words, "--until", "2"]) in (0, 1)
    with open(out / "log.csv", "a") as file:
        file.write("3,1.2e")
    assert main(words) == 1
    assert "left out: data/2 annotation 1: " in capsys.readouterr().err
    assert min(Image.open(out / "samples.jpg").size) > 100


def test_all_that_is_left_out_is_in_a_file(data: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(data, folder)
    document = json.loads((folder / "0.json").read_text())
    document["annotations"] += [{"id": number} for number in range(2, 15)]
    (folder / "0.json").write_text(json.dumps(document))
    words = ["train", str(folder), "-o", str(tmp_path / "run"), "--recipe", "debug"]
    words += ["--no-tensorboard"]
    assert main([*words, "--steps", "1"]) == 1
    listed = tmp_path / "run" / "left-out.csv"
    assert f"and 3 more were left out; {listed} names all." in capsys.readouterr().err
    with open(listed, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"photos/0 annotation {n}" for n in range(1, 14)]
    assert "lacks bbox" in rows[0]["why"]
    shutil.copy(data / "0.json", folder)
    assert main([*words, "--steps", "2"]) == 0
    assert not listed.exists()


def test_a_log_that_cannot_be_begun_is_one_sentence(data: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("in the way")
    words = ["train", str(data), "-o", str(tmp_path / "run"), "--recipe", "debug"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "Cannot write" in error and error.count("\n") == 1


def test_a_disk_that_fills_while_the_log_is_written_costs_no_step(
    data: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    out, written = tmp_path / "run", []

    def write(self: RecordWriter, event: bytes) -> None:
        written.append(event)
        if len(written) == 4:  # two begin the file
            raise OSError(errno.ENOSPC, "No space left on device")

    words = ["train", str(data), "-o", str(out), "--recipe", "debug", "--save-every", "100"]
    with monkeypatch.context() as patched:
        patched.setattr(RecordWriter, "write", write)
        assert main(words) == 2
    error = capsys.readouterr().err
    assert "stopped after step 3; the same command goes on" in error
    assert error.splitlines()[-1].endswith("the disk is full; free some space and try again.")
    assert load_state(out)["step"] == 3
    assert main(words) == 0
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [4]


def test_missing_data_is_one_sentence(tmp_path: Path, capsys) -> None:
    words = ["train", str(tmp_path / "nosuch"), "-o", str(tmp_path / "run"), "--recipe", "debug"]
    assert main(words) == 2
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_a_folder_in_which_another_run_is_is_refused(
    data: Path, tmp_path: Path, capsys, verb: str
) -> None:
    words = [verb, str(data), "-o", str(tmp_path / "run"), "--recipe", "debug", "--steps", "1"]
    with held(tmp_path / "run"):
        assert main(words) == 2
    error = capsys.readouterr().err
    assert "Another samkit writes into" in error and error.count("\n") == 1
    unfinished = tmp_path / "run" / ".samkit-0123456789abcdef.tmp"  # of a run that was killed
    unfinished.touch()
    assert main(words) == 0
    assert not unfinished.exists()


@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_two_processes_are_refused_together(
    data: Path, tmp_path: Path, forked: Any, verb: str
) -> None:
    words = [verb, str(data), "-o", str(tmp_path / "run"), "--recipe", "debug", "--steps", "1"]
    words += ["--batch", "2", "--device", "cpu"]
    code = f"import sys; from samkit.cli.main import main; sys.exit(main({words}))"

    def both() -> list[tuple[tuple[str, str], int]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        started = [forked(code, RANK=str(rank), WORLD_SIZE="2", **world) for rank in range(2)]
        return [(process.communicate(), process.wait()) for process in started]

    with held(tmp_path / "run"):
        for (_, error), ended in both():
            assert ended == 2 and "Another samkit writes into" in error
    assert [ended for _, ended in both()] == [0, 0]


def test_sigterm_saves_and_the_same_command_goes_on(
    data: Path, tmp_path: Path, forked: Any
) -> None:
    out = tmp_path / "run"
    words = ["train", str(data), "-o", str(out), "--recipe", "debug", "--no-tensorboard"]
    words += ["--steps", "100000", "--save-every", "100000"]
    process = forked.samkit(*words)
    deadline = time.monotonic() + 120
    while not (out / "log.csv").exists():  # after the first step
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    assert not (out / "state.json").exists()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.poll() == 130
    reached = int(error.split("stopped after step ")[1].split(";")[0])
    assert main([*words, "--until", str(reached + 1)]) == 0
    with open(out / "log.csv", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == list(range(1, reached + 2))


def test_what_a_run_began_from_and_all_it_learned_from_stay(
    data: Path, tmp_path: Path, capsys
) -> None:
    out, more = tmp_path / "run", tmp_path / "more"
    shutil.copytree(data, more)
    words = ["-o", str(out), "--recipe", "debug", "--no-tensorboard"]
    assert main(["train", str(data), *words, "--init", "default", "--until", "1"]) == 0
    assert main(["train", str(more), *words, "--until", "2"]) == 0
    (more / "0.json").unlink()
    assert main(["train", str(more), *words, "--init", "default", "--until", "3"]) == 0
    about = checkpoints.read_metadata(out / "model.safetensors").provenance
    assert about["init"] == "default"
    assert about["data"] == {data.stem: 3, "more": 3}
    capsys.readouterr()
    assert main(["train", str(data), *words, "--init", str(out / "model.safetensors")]) == 2
    error = capsys.readouterr().err
    assert "holds a run that began from default and goes on" in error and error.count("\n") == 1
    anew = tmp_path / "anew"
    words = ["train", str(data), "-o", str(anew), "--recipe", "debug", "--no-tensorboard"]
    assert main([*words, "--until", "1"]) == 0
    assert main([*words, "--init", "default"]) == 2
    assert "began from random weights" in capsys.readouterr().err


def test_a_pretrained_encoder_is_a_start(data: Path, tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "mae", tmp_path / "run"
    short = ["--recipe", "debug", "--steps", "1"]
    assert main(["pretrain", str(data), "-o", str(first), *short]) == 0
    words = ["train", str(data), "-o", str(second), *short, "--lr", "1e-30", "--no-tensorboard"]
    assert main([*words, "--init", str(first / "model.safetensors")]) == 0
    stem = "image_encoder.trunk.stem.conv.weight"
    trained = load_file(second / "model.safetensors")[stem]
    pretrained = load_file(first / "model.safetensors")
    (mine,) = [
        value for name, value in pretrained.items() if name.endswith("trunk.stem.conv.weight")
    ]
    assert torch.allclose(trained.float(), mine.float())
