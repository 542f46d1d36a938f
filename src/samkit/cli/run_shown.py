"""What the verbs which learn show: each step while it goes on, and the rest at their end."""

import csv
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from samkit.cli.progress import training
from samkit.cli.run_flags import RunFlags
from samkit.errors import SamkitError
from samkit.files import atomic_write, writing
from samkit.training.course import Course
from samkit.training.loop import MODEL, Trainer
from samkit.training.pretraining import Pretrainer
from samkit.training.watch import Watch

LEFT_OUT = "left-out.csv"
"""In the run's folder: everything that the newest command left out."""
_NAMED = 10


def run_watched(
    trainer: Trainer | Pretrainer,
    watch: Watch,
    flags: RunFlags,
    should_stop: Callable[[], bool],
    draw: Callable[[int], None] = lambda step: None,
) -> SamkitError | None:
    """Trains in the first process, shown and logged step by step.

    draw: called after each step with its number, for pictures.
    Where the log or a picture cannot be written, the run saves its state and stops after the next
    step, and that error is returned.
    """
    failed: list[SamkitError] = []
    end = flags.end(trainer.recipe.steps)
    with training(trainer.step, end, images_a_step=trainer.recipe.batch) as progress:

        def report(step: int, seen: dict[str, float]) -> None:
            progress(step, seen)
            try:
                watch.note(step, seen)
                draw(step)
            except SamkitError as error:
                failed.append(error)

        try:
            trainer.run(flags.until, report, lambda: should_stop() or bool(failed))
        finally:
            watch.close()
    return failed[0] if failed else None


def tell(course: Course, steps: int, left_out: Mapping[str, str]) -> None:
    """Says what was left out and skipped, how to go on, and where the weights are.

    steps: of the recipe. left_out: by name a sentence; all of them are in LEFT_OUT, too.
    """
    say, listed = sys.stderr.write, course.folder / LEFT_OUT
    for name, sentence in list(left_out.items())[:_NAMED]:
        say(f"samkit: left out: {sentence if name in sentence else f'{name}: {sentence}'}\n")
    if len(left_out) > _NAMED:
        say(f"samkit: and {len(left_out) - _NAMED} more were left out; {listed} names all.\n")
    _write(listed, left_out)
    if course.skipped:
        say(f"samkit: {course.skipped} steps without a finite loss were skipped.\n")
    if course.step < steps:
        there = "there" if course.saved == course.step else f"step {course.saved}"
        say(f"samkit: stopped after step {course.step}; the same command goes on from {there}.\n")
    if (course.folder / MODEL).exists():
        say(f"samkit: the weights are in {course.folder / MODEL}.\n")


def _write(path: Path, left_out: Mapping[str, str]) -> None:
    """A row for each, or no file where nothing was left out."""
    if not left_out:
        with writing(path):
            path.unlink(missing_ok=True)
        return
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "why"))
        writer.writerows(left_out.items())
