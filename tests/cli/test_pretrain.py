"""`samkit pretrain`, from pictures to weights, and what a kill leaves."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from samkit.checkpoints.mae import KEY, is_mae
from samkit.checkpoints.safetensors_files import read_header_metadata
from samkit.training.course import Course
from samkit.training.state import load_state

DEBUG = ["--recipe", "debug", "--device", "cpu"]


def rows(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_goes_from_pictures_to_weights(samkit, photos: Path) -> None:
    done = samkit("pretrain", photos, "-o", "run", DEBUG, "--lr", "1e-3")
    assert done.code == 0, done.err
    assert "[4/4] loss" in done.err and "images/s" in done.err and "min left" in done.err
    assert f"the weights are in {Path('run', 'model.safetensors')}" in done.err
    run = Path("run")
    assert is_mae(run / "model.safetensors")
    about = json.loads(read_header_metadata(run / "model.safetensors")[KEY])
    assert (about["kind"], about["model"]) == ("mae", "default")
    assert about["provenance"]["images"] == 2
    assert about["provenance"]["recipe"]["reached"] == 4
    assert [row["step"] for row in rows(run)] == ["1", "2", "3", "4"]
    assert [float(row["lr"]) for row in rows(run)] == pytest.approx([0, 1e-3, 7.5e-4, 2.5e-4])
    assert Image.open(run / "reconstruction.png").size[0] > 6 * 64


def test_a_finished_run_is_left_as_it_is_and_can_be_made_longer(samkit, photos: Path) -> None:
    assert samkit("pretrain", photos, "-o", "run", DEBUG, "--steps", "1").code == 0
    before = Path("run", "model.safetensors").stat().st_mtime_ns
    assert samkit("pretrain", photos, "-o", "run", DEBUG, "--steps", "1").code == 0
    assert Path("run", "model.safetensors").stat().st_mtime_ns == before
    assert samkit("pretrain", photos, "-o", "run", DEBUG, "--steps", "2").code == 0
    assert [row["step"] for row in rows(Path("run"))] == ["1", "2"]


def test_a_run_can_be_made_in_slices_and_its_state_in_shards(samkit, photos: Path) -> None:
    words = ["pretrain", photos, "-o", "run", *DEBUG, "--shard-mb", "1"]
    done = samkit(*words, "--until", "1")
    assert done.code == 0 and "stopped after step 1" in done.err
    assert max(path.stat().st_size for path in Path("run").glob("state-*")) <= 1 << 20
    done = samkit(*words, "--max-minutes", "1e-9")
    assert done.code == 130 and "stopped after step 2" in done.err


def test_a_run_that_ends_without_a_finite_loss_says_what_it_kept(
    samkit, photos: Path, monkeypatch
) -> None:
    assert samkit("pretrain", photos, "-o", "run", DEBUG, "--until", "2").code == 0
    advance = Course.advance
    monkeypatch.setattr(Course, "advance", lambda course, loss, norm: advance(course, math.nan, 1))
    done = samkit("pretrain", photos, "-o", "run", DEBUG, "--until", "3")
    assert done.code == 2
    assert "stopped after step 3; the same command goes on from step 2." in done.err
    assert "run stays as it was after step 2; stop at another step, or begin" in done.err
    assert load_state(Path("run"))["step"] == 2


def test_broken_pictures_are_named_and_the_code_says_so(samkit, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    done = samkit("pretrain", photos, "-o", "run", DEBUG, "--steps", "2")
    assert done.code == 1
    assert done.err.count("left out: photos/broken.jpg") == 1


def test_a_run_among_its_pictures_does_not_learn_from_its_own(samkit, photos: Path) -> None:
    for steps in ("1", "2"):
        done = samkit("pretrain", photos, "-o", photos / "run", DEBUG, "--steps", steps)
        assert done.code == 0, done.err
    about = json.loads(read_header_metadata(photos / "run" / "model.safetensors")[KEY])
    assert about["provenance"]["images"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "nosuch"], "nosuch is no recipe; known are debug, default, vit_b"),
        ([*DEBUG, "--steps", "0"], "--steps must be more than 0"),
        ([*DEBUG, "--lr", "0"], "--lr must be more than 0"),
        ([*DEBUG, "--lr", "inf"], "--lr must be a finite number"),
        ([*DEBUG, "--until", "-1"], "--until must be more than 0"),
        ([*DEBUG, "--max-minutes", "nan"], "--max-minutes must be more than 0"),
        (["--recipe", "debug", "--device", "abacus"], "There is no device 'abacus'"),
    ],
)
def test_wrong_wishes_are_one_sentence(samkit, photos: Path, words: list[str], said: str) -> None:
    done = samkit("pretrain", photos, "-o", "run", words)
    assert done.code == 2
    assert said in done.err and done.err.count("\n") == 1
    assert not Path("run").exists()


def test_no_pictures_are_one_sentence(samkit, here: Path) -> None:
    (here / "empty").mkdir()
    done = samkit("pretrain", "empty", "-o", "run", DEBUG)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "There are no images" in done.err


def started(photos: Path, run: str, *words: str) -> subprocess.Popen[str]:
    """The command in a process of its own, when its first state is there."""
    command = [sys.executable, "-m", "samkit", "pretrain", str(photos), "-o", run, *DEBUG, *words]
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not Path(run, "state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_equal_bit_for_bit(samkit, photos: Path) -> None:
    words = ["--steps", "12", "--save-every", "2"]
    process = started(photos, "killed", *words)
    process.kill()
    process.wait()
    assert load_state(Path("killed"))["step"] < 12
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert samkit("pretrain", photos, "-o", "killed", DEBUG, words).code == 0
        assert samkit("pretrain", photos, "-o", "whole", DEBUG, words).code == 0
    finally:
        torch.set_num_threads(threads)
    killed, whole = (load_state(Path(run)) for run in ("killed", "whole"))
    for name, value in whole["model"].items():
        assert torch.equal(value, killed["model"][name]), name
    assert [row["loss"] for row in rows(Path("killed"))] == [
        row["loss"] for row in rows(Path("whole"))
    ]


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(samkit, photos: Path) -> None:
    words = ["--steps", "100000", "--save-every", "100000"]
    assert samkit("pretrain", photos, "-o", "run", DEBUG, "--steps", "1").code == 0
    process = started(photos, "run", *words)
    while len(rows(Path("run"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    reached = load_state(Path("run"))["step"]
    assert f"stopped after step {reached};" in error
    assert [int(row["step"]) for row in rows(Path("run"))] == list(range(1, reached + 1))


@pytest.mark.slow
def test_two_processes_give_one_process_s_losses(samkit, photos: Path) -> None:
    """Of torchrun; the statistics of a batch's parts are the same for the same parts."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1"]
    command += ["--nproc-per-node=2", "-m", "samkit", "pretrain", str(photos), "-o", "two", *DEBUG]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300)
    assert samkit("pretrain", photos, "-o", "one", DEBUG).code == 0
    losses = [[float(row["loss"]) for row in rows(Path(run))] for run in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
