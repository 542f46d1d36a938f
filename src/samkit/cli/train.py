"""`samkit train`: promptable training and fine-tuning."""

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from samkit.cli.run_flags import RunFlags
from samkit.errors import UsageError

_HELP = """
DATASETs are stores (folders of images with SA-1B JSON, or tar shards), COCO instance files, LabelMe
folders, or folders with `images/` and `masks/`. OUT/model.safetensors is what every other verb
takes as --model; log.csv, curves.png, samples.jpg and TensorBoard's events show how it went. The
same command goes on where a run was stopped.

Examples: samkit train my_images/ --recipe finetune --init default -o runs/mine

torchrun --nproc-per-node 8 -m samkit train sa-1b/ --recipe vit_b --init mae.pth -o runs/vit_b
"""

_THE_RECIPE_S = RunFlags()

app = App(
    name="train",
    usage="Usage: samkit train DATASETS... -o OUT [OPTIONS]",
    help_epilogue=_HELP,
)


@app.default
def train(
    datasets: list[str],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    recipe: str = "default",
    init: str | None = None,
    freeze: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    synthetic: int = 0,
    textures: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    tensorboard: Annotated[bool, Parameter(negative="--no-tensorboard")] = True,
    run: Annotated[RunFlags, Parameter(name="*", group="Run")] = _THE_RECIPE_S,
) -> int:
    """Train a model on images with masks.

    Parameters
    ----------
    datasets
        Stores, COCO files, folders of masks.
    out
        Folder of the run; made where it is missing, gone on with where it holds one.
    recipe
        debug, default, finetune, vit_b, vit_l, vit_h, amg: see docs/training.md.
    init
        What to start from: a name or checkpoint as --model takes them elsewhere, the weights of
        `samkit pretrain` or of MAE, or imagenet; by itself nothing.
    freeze
        A part that stays as it is, such as image_encoder; may be given several times.
    synthetic
        Add so many made-up scenes (dead leaves).
    textures
        Photographs, or folders of them, from which most textures of these scenes are cut; may be
        given several times.
    tensorboard
        Write TensorBoard's events.
    """
    from samkit.training.recipes import RECIPES

    if recipe not in RECIPES:
        raise UsageError(f"{recipe} is no recipe; known are {', '.join(RECIPES)}.")
    if textures and not synthetic:
        raise UsageError("--textures says what made-up scenes are cut from; add --synthetic.")
    from samkit.cli import train_run

    job = train_run.Job(
        datasets=datasets,
        folder=out,
        recipe=dataclasses.replace(RECIPES[recipe], **run.changes()),
        init=init,
        freeze=freeze,
        synthetic=synthetic,
        textures=textures,
        tensorboard=tensorboard,
        flags=run,
    )
    with run.stopping() as should_stop:
        return train_run.run(job, should_stop)
