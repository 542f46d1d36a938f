"""`samkit evaluate`: how good a model is, by the paper's protocols."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from samkit.cli.flags import Flag, ModelFlags
from samkit.cli.progress import steps, waiting
from samkit.errors import FormatError, ImageError, UsageError
from samkit.files import check_writable

if TYPE_CHECKING:
    from samkit.evaluation.inputs import Inputs
    from samkit.evaluation.session import Scores, Session

NO_MODEL = "none"
_HELP = """
Prints one table: all masks, and every source (the first folder of an image's name, or the dataset's
own). clicks, box, calibration and proposals need images with true masks, in any form that
docs/data.md lists, edges a folder laid out as BSDS500; give --data again for both.
docs/evaluation.md says what is measured.

Example: samkit evaluate default --data val/ --rules --json scores.json -o curves/
"""
Name = Literal["clicks", "box", "proposals", "edges", "calibration", "text"]
_DEFAULT: tuple[Name, ...] = ("clicks", "box", "calibration")
REPORTED_CLICKS = 9
"""After so many IoU is reported the last time; --noc goes on to count more."""
Several = Parameter(negative="")

app = App(
    name="evaluate",
    usage="Usage: samkit evaluate CHECKPOINT --data PATH [OPTIONS]",
    help_epilogue=_HELP,
)


@app.default
def evaluate(
    checkpoint: str,
    /,
    *,
    data: Annotated[list[Path], Several],
    protocol: Annotated[list[Name], Several] = list(_DEFAULT),  # noqa: B006
    json: Path | None = None,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"))] = None,
    limit_images: int | None = None,
    least_pixels: int = 150,
    rules: Flag = False,
    slow_rules: Flag = False,
    random_first: Flag = False,
    noc: Flag = False,
    clicks: int = REPORTED_CLICKS,
    points_per_side: int = 32,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
) -> int:
    """Measure how good the masks of a model are.

    Parameters
    ----------
    checkpoint
        A name that `samkit models` lists, the path of a checkpoint of any known format, or none to
        score rules alone.
    data
        Images with true masks (a store, a COCO file, a folder of masks or of LabelMe files, …), or
        a folder laid out as BSDS500; may be given again.
    protocol
        What is measured; may be given again.
    json
        File for all scores with their 95% intervals.
    out
        Folder for curves as PNG.
    limit_images
        Take only so many images of each --data, always the same ones.
    least_pixels
        Leave out masks with fewer pixels.
    rules
        Also score rules that need no model on the same prompts: discs, watershed, rectangle,
        ellipse, Felzenszwalb's regions.
    slow_rules
        The same with GrabCut and random walker, which take hours for thousands of masks.
    random_first
        Also report a first click anywhere in the mask, c1_random.
    noc
        Also count clicks up to an IoU of .85 and .90, 20 at most.
    clicks
        So many clicks at most on each mask, 1 to 9: fewer of them, sooner done.
    points_per_side
        Of the grid for proposals; the paper has 64.
    seed
        Of random clicks and jittered boxes.
    device
        auto, cpu, cuda, cuda:1, mps; auto takes the quickest that there is.
    dtype
        auto, float32, bfloat16, float16: in which the image encoder computes.
    """
    protocols = frozenset[str](protocol)
    _refuse(protocols, checkpoint, rules or slow_rules)
    _refuse_numbers(limit_images, points_per_side, clicks, noc, seed)
    model = (
        None if checkpoint == NO_MODEL else ModelFlags(model=checkpoint, device=device, dtype=dtype)
    )
    with waiting(f"Loading the model {checkpoint}"):
        from samkit.evaluation.inputs import Inputs
        from samkit.evaluation.session import Plan, Session

        plan = Plan(
            protocols=protocols,
            rules=rules,
            slow_rules=slow_rules,
            noc=noc,
            clicks=clicks,
            random_first=random_first,
            least_pixels=least_pixels,
            points_per_side=points_per_side,
            seed=seed,
        )
        inputs = Inputs(data, protocols, limit_images)
        for path in (json, out and out / "clicks.png"):
            if path is not None:
                check_writable(path)
        session = Session(plan, None if model is None else model.load())
    failed = _score(inputs, session)
    about = asdict(plan) | {
        "protocols": sorted(protocols),
        "checkpoint": checkpoint,
        "data": [str(path) for path in data],
        "images": len(inputs.steps) - failed,
        "images_failed": failed,
        "left_out": len(inputs.left_out),
    }
    _report(session.scores, about, json, out)
    return 1 if failed or inputs.left_out else 0


def _refuse(protocols: frozenset[str], checkpoint: str, rules: bool) -> None:
    if "text" in protocols:
        raise UsageError(
            "The protocol text needs the text route, which this version of samkit does not have "
            "yet; leave it out."
        )
    if checkpoint == NO_MODEL and not rules:
        raise UsageError("Without a model there are only rules to score; add --rules.")
    if checkpoint == NO_MODEL and protocols == {"calibration"}:
        raise UsageError("Rules predict no IoU, so that calibration needs a model.")


def _refuse_numbers(limit: int | None, points: int, clicks: int, noc: bool, seed: int) -> None:
    if seed < 0:
        raise UsageError(f"--seed takes a number from 0, not {seed}.")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit-images takes a number from 1, not {limit}.")
    if points < 1:
        raise UsageError(f"--points-per-side takes a number from 1, not {points}.")
    if not 1 <= clicks <= REPORTED_CLICKS:
        raise UsageError(f"--clicks takes a number from 1 to {REPORTED_CLICKS}, not {clicks}.")
    if noc and clicks != REPORTED_CLICKS:
        raise UsageError("--noc clicks until a mask is good; leave --clicks out.")


def _score(inputs: "Inputs", session: "Session") -> int:
    """Scores all images and returns how many could not be; each is named, as is what was left
    out beside them."""
    failed = 0
    with steps(len(inputs.steps)) as progress:
        for step in inputs.steps:
            progress.start(step.name)
            try:
                what = step.score(session)
            except (FormatError, ImageError) as error:
                failed += 1
                progress.finish(str(error), failed=True)
            else:
                progress.finish(what)
        for name, sentence in inputs.left_out:
            progress.note(f"Left out: {name}: {sentence}")
    return failed


def _report(scores: "Scores", about: dict[str, Any], json: Path | None, out: Path | None) -> None:
    from rich.console import Console

    from samkit.evaluation.report import to_json, to_table
    from samkit.files import write_json

    if not scores.by:
        raise UsageError("Nothing was scored: no image could be read that has such masks.")
    result = to_json(scores, about)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(to_table(result))
    if json is not None:
        write_json(json, result, indent=1)
        print(json)
    if out is not None:
        from samkit.evaluation.curves import write_curves

        for path in write_curves(out, scores):
            print(path)
