"""`samkit evaluate`: how good a model is, by the paper's protocols."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from samkit.cli.flags import Flag, ModelFlags
from samkit.cli.progress import Steps, steps, waiting
from samkit.errors import SamkitError, UsageError

if TYPE_CHECKING:
    from samkit.evaluation.session import Plan, Session

NO_MODEL = "none"
_HELP = """
Prints one table: all masks, and every source (the first folder level of the store). clicks, box,
calibration and proposals need a store with true masks, edges a folder laid out as BSDS500; give
--data again for both. docs/evaluation.md says what is measured.

Example: samkit evaluate default --data val/ --rules --json scores.json -o curves/
"""
Name = Literal["clicks", "box", "proposals", "edges", "calibration", "text"]
_EDGES = "edges"
_DEFAULT: tuple[Name, ...] = ("clicks", "box", "calibration")
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
        A store (folder, tars) with true masks, or a folder laid out as BSDS500; may be given again.
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
    _refuse(protocols, checkpoint, rules or slow_rules, limit_images, points_per_side)
    model = None if checkpoint == NO_MODEL else ModelFlags(checkpoint, device, dtype)
    with waiting(f"Loading the model {checkpoint}"):
        from samkit.evaluation.session import Plan, Session

        plan = Plan(
            protocols=protocols,
            rules=rules,
            slow_rules=slow_rules,
            noc=noc,
            random_first=random_first,
            least_pixels=least_pixels,
            points_per_side=points_per_side,
            seed=seed,
        )
        inputs = _Inputs(data, plan, limit_images)
        session = Session(plan, None if model is None else model.load())
    failed = inputs.score(session)
    _report(session, plan, checkpoint, data, inputs.count - failed, json, out)
    if failed:
        print(f"{failed} of {inputs.count} images failed, named above.", file=sys.stderr)
    return 1 if failed else 0
