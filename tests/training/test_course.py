"""A run's course: which steps change the weights, and what a folder can be gone on from."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from samkit.errors import SamkitError, UsageError
from samkit.training.course import NAN_LIMIT, Course


@dataclass(frozen=True)
class Numbers:
    lr: float = 0.5
    steps: int = 10
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass(frozen=True)
class NewerNumbers(Numbers):
    decay: float = 0.1


@dataclass(frozen=True)
class OtherNumbers:
    lr: float = 0.5


def course(folder: Path, recipe: object = Numbers(), width: int = 2) -> Course:
    model = nn.Linear(width, 1)
    return Course(folder, model, torch.optim.SGD(model.parameters(), lr=0.5), recipe)


def ready(run: Course) -> Course:
    """One whose every gradient is 1."""
    for value in run.model.parameters():
        value.grad = torch.ones_like(value)
    return run


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf"))])
def test_a_step_that_is_not_finite_changes_nothing(
    tmp_path: Path, loss: float, norm: float
) -> None:
    run = ready(course(tmp_path))
    before = run.model.weight.detach().clone()
    assert not run.advance(loss, norm)
    assert torch.equal(run.model.weight, before) and (run.step, run.skipped) == (1, 1)
    assert run.advance(1.0, 1.0)
    assert torch.equal(run.model.weight, before - 0.5) and (run.step, run.skipped) == (2, 1)


def test_ten_bad_steps_in_a_row_are_one_sentence_that_names_what_stands(tmp_path: Path) -> None:
    run = ready(course(tmp_path))
    run.advance(1.0, 1.0)
    run.save({"more": 3})
    again = ready(course(tmp_path))
    assert again.resume(free=())["more"] == 3 and again.saved == 1
    for _ in range(NAN_LIMIT - 1):
        again.advance(float("nan"), 1.0)
    with pytest.raises(SamkitError, match=rf"{NAN_LIMIT} steps in a row.* was after step 1;"):
        again.advance(float("nan"), 1.0)


def test_a_run_that_ends_in_bad_steps_was_not_saved(tmp_path: Path) -> None:
    run = ready(course(tmp_path))
    run.advance(1.0, 1.0)
    run.save({})
    assert run.sound
    run.require_saved()
    run.advance(float("nan"), 1.0)
    assert not run.sound
    with pytest.raises(SamkitError, match="stays as it was after step 1;"):
        run.require_saved()


def test_finite_steps_begin_the_count_anew(tmp_path: Path) -> None:
    run = ready(course(tmp_path))
    for _ in range(3):
        for _ in range(NAN_LIMIT - 1):
            run.advance(float("nan"), 1.0)
        run.advance(1.0, 1.0)
    assert (run.step, run.skipped) == (3 * NAN_LIMIT, 3 * (NAN_LIMIT - 1))


@pytest.mark.parametrize(
    ("recipe", "width", "said"),
    [
        (Numbers(lr=0.1, betas=(0.8, 0.99)), 2, "a run with another lr, betas;"),
        (OtherNumbers(), 2, "a run of another kind"),
        (Numbers(), 3, "a run of another model"),
        (NewerNumbers(decay=0.2), 2, "a run with another decay;"),
    ],
)
def test_another_run_s_folder_is_refused(
    tmp_path: Path, recipe: object, width: int, said: str
) -> None:
    run = ready(course(tmp_path))
    run.advance(1.0, 1.0)
    run.save({})
    with pytest.raises(UsageError, match=said):
        course(tmp_path, recipe, width).resume(free=("steps",))
    for later in (Numbers(steps=20), NewerNumbers()):
        again = course(tmp_path, later)
        assert again.resume(free=("steps",)) and again.step == 1


def test_a_run_of_another_model_names_what_it_began_from(tmp_path: Path) -> None:
    course(tmp_path).save({"provenance": {"init": "vit_b"}})
    with pytest.raises(UsageError, match="give --init vit_b as at its beginning, or choose"):
        course(tmp_path, width=3).resume(free=())


def test_an_empty_folder_is_a_beginning(tmp_path: Path) -> None:
    run = course(tmp_path)
    assert run.resume(free=()) is None and run.step == 0
