"""The loop on tiny photographs: it learns, resumes bit for bit, and survives."""

import errno
import json
import os
import time
from pathlib import Path

import pytest
import torch

from samkit import checkpoints
from samkit.errors import CheckpointError, SamkitError, UsageError
from samkit.training.distributed import World
from samkit.training.loop import MODEL
from samkit.training.starting import freeze
from samkit.training.state import MANIFEST, load_state, save_state
from samkit.training.validation import MEASURES
from samkit.training.watch import draw_samples, sample_photos


def same(a, b) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def test_a_resumed_run_is_equal_bit_for_bit(tmp_path: Path, trainer) -> None:
    whole = trainer(tmp_path / "whole")
    assert whole.run()
    first = trainer(tmp_path / "parts")
    assert not first.run(until=3)
    second = trainer(tmp_path / "parts")
    assert second.step == 3
    assert second.run()
    same(whole.sam.state_dict(), second.sam.state_dict())
    same(whole.averaged.values, second.averaged.values)


def test_a_run_that_is_asked_to_stop_saves_and_goes_on(tmp_path: Path, trainer) -> None:
    stopped = trainer(tmp_path)
    assert not stopped.run(should_stop=lambda: True)
    assert stopped.step == 1
    assert trainer(tmp_path).step == 1


def test_a_killed_run_resumes_from_a_whole_state(
    tmp_path: Path, store: Path, trainer, forked
) -> None:
    """kill -9 at a random moment, while states are saved after every step."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
from dataclasses import replace
from pathlib import Path
from conftest import TINY
from samkit.datasets.store import StoreReader
from samkit.modeling import Sam
from samkit.training.loop import Trainer
from samkit.training.photographs import Photographs
from samkit.training.recipes import RECIPES
torch.manual_seed(0)
recipe = replace(RECIPES["debug"], steps=10**6, warmup=2, cooldown=0.3, crop_scale=(0.8, 1.1),
                 save_every=1)
photos = Photographs([("store", StoreReader(Path({str(store)!r})))])
Trainer(Sam(TINY).train(), photos, recipe, Path({str(tmp_path)!r})).run()
"""
    process = forked(code)
    deadline = time.monotonic() + 120
    manifest = tmp_path / MANIFEST  # the files it names may be older by the time they are read
    while not manifest.exists() or json.loads(manifest.read_text())["step"] < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    reached = load_state(tmp_path)["step"]
    resumed = trainer(tmp_path, steps=10**6, save_every=1)
    assert resumed.step == reached
    resumed.run(until=reached + 1)
    whole = trainer(tmp_path / "whole", steps=10**6, save_every=10**6)
    whole.run(until=reached + 1)
    same(whole.sam.state_dict(), resumed.sam.state_dict())


def test_every_parameter_moves(tmp_path: Path, trainer) -> None:
    run = trainer(tmp_path)
    before = {name: value.detach().clone() for name, value in run.sam.named_parameters()}
    run.run()
    still = [n for n, v in run.sam.named_parameters() if torch.equal(v, before[n])]
    assert not still


def test_ten_steps_without_a_finite_loss_end_the_run(tmp_path: Path, trainer) -> None:
    run = trainer(tmp_path, steps=30)
    with torch.no_grad():
        run.sam.mask_decoder.iou_token.weight.fill_(float("nan"))
    before = run.sam.image_encoder.fine_2.weight.detach().clone()
    with pytest.raises(SamkitError, match="10 steps in a row"):
        run.run()
    assert run.skipped == 10
    assert torch.equal(before, run.sam.image_encoder.fine_2.weight)


@pytest.mark.parametrize("stop", [False, True])
def test_steps_without_a_finite_loss_are_not_saved_over_good_ones(
    tmp_path: Path, trainer, stop: bool, monkeypatch
) -> None:
    run = trainer(tmp_path, steps=30, save_every=1, validate_every=1)
    run.run(until=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run.photographs.kept_aside = run.photographs.sources["a"]
    monkeypatch.setattr("samkit.training.loop.validate", lambda *_, world: pytest.fail("looked"))
    run.looked = 2
    with torch.no_grad():
        run.sam.mask_decoder.iou_token.weight.fill_(float("nan"))
    if stop:
        run.run(should_stop=lambda: run.step == 5)
        assert (run.step, run.course.saved) == (5, 2)
    else:
        with pytest.raises(SamkitError, match="stays as it was after step 2;"):
            run.run()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_weights_are_a_checkpoint_that_loads(tmp_path: Path, trainer) -> None:
    run = trainer(tmp_path)
    run.run()
    sam = checkpoints.load(tmp_path / MODEL, device="cpu")
    same(sam.state_dict(), run.averaged.values)
    about = checkpoints.read_metadata(tmp_path / MODEL).provenance
    assert about["recipe"]["reached"] == 6
    assert about["recipe"]["lr"] == run.recipe.lr


def test_the_best_weights_on_images_kept_aside_are_kept(
    tmp_path: Path, trainer, monkeypatch
) -> None:
    scores = iter([0.2, 0.5, 0.3])
    monkeypatch.setattr(
        "samkit.training.loop.validate",
        lambda *_, world: dict.fromkeys(MEASURES, next(scores)),
    )
    run = trainer(tmp_path, validate_every=2)
    run.photographs.kept_aside = run.photographs.sources["a"]
    run.run()
    assert run.best["step"] == 4
    about = checkpoints.read_metadata(tmp_path / MODEL).provenance
    assert about["recipe"]["reached"] == 4 and about["metrics"]["c1"] == 0.5


def test_images_kept_aside_without_masks_choose_nothing(
    tmp_path: Path, trainer, monkeypatch
) -> None:
    monkeypatch.setattr("samkit.training.loop.validate", lambda *_, world: {})
    run = trainer(tmp_path, validate_every=2)
    run.photographs.kept_aside = run.photographs.sources["a"]
    assert run.run() and run.best == {}
    assert checkpoints.read_metadata(tmp_path / MODEL).provenance["recipe"]["reached"] == 6


def test_a_run_that_is_left_early_looks_at_nothing_else(
    tmp_path: Path, trainer, monkeypatch
) -> None:
    looked = []

    def validate(*_: object, world: World) -> dict[str, float]:
        looked.append(run.step)
        return dict.fromkeys(MEASURES, 0.5)

    monkeypatch.setattr("samkit.training.loop.validate", validate)
    run = trainer(tmp_path, validate_every=4)
    run.photographs.kept_aside = run.photographs.sources["a"]
    run.run(until=3)
    run.run(should_stop=lambda: True)  # at step 4, when it would be time
    assert looked == [] and load_state(tmp_path)["step"] == 4
    run.run(until=5)
    assert looked == [4]  # when it goes on
    run.run(should_stop=lambda: True)
    assert looked == [4] and load_state(tmp_path)["step"] == 6
    again = trainer(tmp_path, validate_every=4)
    again.photographs.kept_aside = run.photographs.kept_aside
    assert again.run() and looked == [4, 6]
    assert again.run() and looked == [4, 6]


def test_frozen_parts_stay_as_they_are_used_whatever_is_shown(tmp_path: Path, trainer) -> None:
    run = trainer(tmp_path, save_every=1)
    freeze(run.sam, ("image_encoder",))
    seen = []

    def report(step: int, _: object) -> None:
        seen.append((run.sam.image_encoder.training, run.sam.mask_decoder.training))
        draw_samples(run.sam, sample_photos(run.photographs), tmp_path / "samples.jpg")

    run.run(report=report)
    assert seen == [(False, True)] * 6


def test_the_time_of_a_step_counts_what_it_waited_for(tmp_path: Path, trainer, monkeypatch) -> None:
    run = trainer(tmp_path, steps=2)
    batches = run.loader.batches

    def slow(*arguments):
        for crops in batches(*arguments):
            time.sleep(0.3)
            yield crops

    monkeypatch.setattr(run.loader, "batches", slow)
    seen = []
    run.run(report=lambda _, measured: seen.append(measured))
    assert all(0.3 <= row["waited"] < row["seconds"] for row in seen)
    assert run.course.spent >= 0.6


def test_another_recipe_is_refused(tmp_path: Path, trainer) -> None:
    trainer(tmp_path).run(until=1)
    with pytest.raises(UsageError, match="another lr, weight_decay"):
        trainer(tmp_path, lr=1.0, weight_decay=0.5)
    assert trainer(tmp_path, steps=9).step == 1  # a longer run is the same run


def test_a_state_in_parts_is_whole_or_refused(tmp_path: Path, trainer) -> None:
    save_state(tmp_path, {"step": 1, "model": torch.zeros(1000)}, part_bytes=900)
    save_state(tmp_path, {"step": 2, "model": torch.ones(1000)}, part_bytes=900)
    parts = sorted(tmp_path.glob("state-*"))
    assert len(parts) > 4 and all(path.name.startswith("state-00000002-") for path in parts)
    assert max(path.stat().st_size for path in parts) <= 900
    assert torch.equal(load_state(tmp_path)["model"], torch.ones(1000))
    parts[2].write_bytes(parts[2].read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_state(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(CheckpointError, match="is damaged"):
        trainer(tmp_path)


def test_a_second_save_of_a_step_that_fails_leaves_the_first(tmp_path: Path, monkeypatch) -> None:
    """A run that was stopped when it was time to look at the images kept aside saves twice."""
    save_state(tmp_path, {"step": 1, "best": torch.zeros(3)})

    def no_space(*_: object, **__: object) -> None:
        raise SamkitError("the disk is full")

    monkeypatch.setattr("samkit.training.state.write_json", no_space)
    with pytest.raises(SamkitError):
        save_state(tmp_path, {"step": 1, "best": torch.ones(3)})
    monkeypatch.undo()
    assert torch.equal(load_state(tmp_path)["best"], torch.zeros(3))
    save_state(tmp_path, {"step": 1, "best": torch.ones(3)})
    assert torch.equal(load_state(tmp_path)["best"], torch.ones(3))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_state_with_the_names_of_older_parts_is_gone_on_from(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1})
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / manifest["parts"][0]["file"]).rename(tmp_path / "state-00000001.0")
    manifest["parts"][0]["file"] = "state-00000001.0"
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert load_state(tmp_path) == {"step": 1}
    save_state(tmp_path, {"step": 2})
    assert not (tmp_path / "state-00000001.0").exists()


def test_a_full_disk_is_one_sentence_and_the_old_state_stands(
    tmp_path: Path, trainer, monkeypatch
) -> None:
    run = trainer(tmp_path)
    run.run(until=1)

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SamkitError, match="the disk is full"):
        run.run(until=2)
    monkeypatch.undo()
    assert load_state(tmp_path)["step"] == 1


def test_a_frozen_encoder_stays_as_it_is(tmp_path: Path, trainer) -> None:
    from samkit.training.loop import Trainer
    from samkit.training.starting import freeze

    run = trainer(tmp_path)
    freeze(run.sam, ["image_encoder"])
    run = Trainer(run.sam, run.photographs, run.recipe, tmp_path)
    before = {name: value.clone() for name, value in run.sam.state_dict().items()}
    run.run()
    for name, value in run.sam.state_dict().items():
        if name.startswith("image_encoder."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(
        run.sam.mask_decoder.mask_tokens.weight, before["mask_decoder.mask_tokens.weight"]
    )
