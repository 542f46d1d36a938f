"""`samkit pretrain`: an image encoder learns from photographs without labels."""

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from samkit.cli.run_flags import RunFlags
from samkit.errors import UsageError

_HELP = """
OUT/model.safetensors is what `samkit train --init` takes; OUT/reconstruction.png shows what the
model makes of hidden patches, OUT/log.csv how it went. The same command goes on where a run was
stopped.

Example: samkit pretrain photos/ --recipe default -o runs/mae

torchrun --nproc-per-node 8 -m samkit pretrain imagenet/ --recipe vit_b -o runs/mae_b
"""

_THE_RECIPE_S = RunFlags()

app = App(
    name="pretrain",
    usage="Usage: samkit pretrain IMAGES... -o OUT [OPTIONS]",
    help_epilogue=_HELP,
)


@app.default
def pretrain(
    images: list[Path],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    recipe: str = "default",
    run: Annotated[RunFlags, Parameter(name="*", group="Run")] = _THE_RECIPE_S,
) -> int:
    """Pre-train an image encoder by masked autoencoding; it needs no labels.

    Parameters
    ----------
    images
        Images, and folders that are searched for them.
    out
        Folder of the run; made where it is missing, gone on with where it holds one.
    recipe
        debug, default, vit_b, vit_l, vit_h: see docs/pretraining.md.
    """
    from samkit.training.pretraining_recipes import PRETRAIN_RECIPES, REFERENCE_BATCH

    if recipe not in PRETRAIN_RECIPES:
        raise UsageError(f"{recipe} is no recipe; known are {', '.join(PRETRAIN_RECIPES)}.")
    changes = run.changes()
    lr = changes.pop("lr", None)
    chosen = dataclasses.replace(PRETRAIN_RECIPES[recipe], **changes)
    if lr is not None:  # the recipe's own is for a batch of REFERENCE_BATCH
        chosen = dataclasses.replace(chosen, base_lr=lr * REFERENCE_BATCH / chosen.batch)
    from samkit.cli import pretrain_run

    with run.stopping() as should_stop:
        return pretrain_run.run(pretrain_run.Job(images, out, chosen, run), should_stop)
