"""`samkit train`: promptable training and fine-tuning."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from samkit.cli.flags import Flag
from samkit.cli.stopping import asked_to_stop
from samkit.errors import UsageError

_HELP = """
DATASETs are stores (folders of images with SA-1B JSON, or tar shards), COCO instance files, LabelMe
folders, or folders with `images/` and `masks/`. OUT/model.safetensors is what every other verb
takes as --model; log.csv, curves.png, samples.jpg and TensorBoard's events show how it went. The
same command goes on where a run was stopped.

Examples: samkit train my_images/ --recipe finetune --init default -o runs/mine

torchrun --nproc-per-node 8 -m samkit train sa-1b/ --recipe vit_b --init mae.pth -o runs/vit_b
"""

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
    freeze: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    synthetic: int = 0,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    workers: int = 1,
    until: int | None = None,
    max_minutes: float | None = None,
    shard_mb: int | None = None,
    tensorboard: Annotated[bool, Parameter(negative="--no-tensorboard")] = True,
    bfloat16: Flag = False,
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
    steps
        Optimiser steps, instead of the recipe's.
    batch
        Images of a step over all processes, instead of the recipe's.
    lr
        Largest learning rate, instead of the recipe's.
    seed
        Of everything random, instead of the recipe's.
    device
        auto, cpu, cuda, mps.
    workers
        Threads that make the crops.
    until
        Stop after this step; the same command goes on from there.
    max_minutes
        Stop after so many minutes; the same command goes on from there.
    shard_mb
        Cut the run's state into files of at most so many megabytes.
    tensorboard
        Write TensorBoard's events.
    bfloat16
        Compute matrix products in bfloat16.
    """
    from samkit.training.recipes import RECIPES

    if recipe not in RECIPES:
        raise UsageError(f"{recipe} is no recipe; known are {', '.join(RECIPES)}.")
    wished: dict[str, Any] = {"steps": steps, "batch": batch, "lr": lr, "seed": seed}
    if bfloat16:
        wished["autocast"] = "bfloat16"
    chosen = dataclasses.replace(
        RECIPES[recipe], **{key: value for key, value in wished.items() if value is not None}
    )
    from samkit.cli.train_run import Job, run

    with asked_to_stop() as stop:
        deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        return run(
            Job(
                datasets=datasets,
                folder=out,
                recipe=chosen,
                init=init,
                freeze=freeze,
                synthetic=synthetic,
                device=device,
                workers=workers,
                until=until,
                tensorboard=tensorboard,
                part_bytes=None if shard_mb is None else shard_mb << 20,
            ),
            lambda: stop() or (deadline is not None and time.monotonic() > deadline),
        )
