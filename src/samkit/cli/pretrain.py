"""`samkit pretrain`: an image encoder learns from photographs without labels."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from samkit.cli.flags import Flag
from samkit.cli.stopping import asked_to_stop
from samkit.errors import UsageError

_HELP = """
OUT/model.safetensors is what `samkit train --init` takes; OUT/reconstruction.png shows what the
model makes of hidden patches, OUT/log.csv how it went. The same command goes on where a run was
stopped.

Example: samkit pretrain photos/ --recipe default -o runs/mae

torchrun --nproc-per-node 8 -m samkit pretrain imagenet/ --recipe vit_b -o runs/mae_b
"""

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
    steps: int | None = None,
    batch: int | None = None,
    at_once: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    save_every: int | None = None,
    device: str = "auto",
    workers: int = 1,
    bfloat16: Flag = False,
) -> int:
    """Pre-train an image encoder by masked autoencoding; it needs no labels.

    Parameters
    ----------
    images
        Pictures, and folders that are searched for them.
    out
        Folder of the run; made where it is missing, gone on with where it holds one.
    recipe
        debug, default, vit_b, vit_l, vit_h: see docs/pretraining.md.
    steps
        Optimiser steps, instead of the recipe's.
    batch
        Images of a step over all processes, instead of the recipe's; the learning rate follows.
    at_once
        Images that are computed together, instead of the recipe's; fewer need less memory.
    lr
        Largest learning rate, instead of the recipe's.
    seed
        Of everything random, instead of the recipe's.
    save_every
        Steps between two savings, instead of the recipe's.
    device
        auto, cpu, cuda, mps.
    workers
        Threads that read images.
    bfloat16
        Compute matrix products in bfloat16.
    """
    from samkit.training.pretraining_recipes import PRETRAIN_RECIPES, REFERENCE_BATCH

    if recipe not in PRETRAIN_RECIPES:
        raise UsageError(f"{recipe} is no recipe; known are {', '.join(PRETRAIN_RECIPES)}.")
    if workers < 1:
        raise UsageError(f"At least one thread must read images, not {workers}.")
    wished: dict[str, Any] = {
        "steps": steps,
        "batch": batch,
        "at_once": at_once,
        "seed": seed,
        "save_every": save_every,
        "autocast": "bfloat16" if bfloat16 else None,
    }
    chosen = dataclasses.replace(
        PRETRAIN_RECIPES[recipe], **{k: v for k, v in wished.items() if v is not None}
    )
    if lr is not None:
        chosen = dataclasses.replace(chosen, base_lr=lr * REFERENCE_BATCH / chosen.batch)
    from samkit.cli.pretrain_run import Job, run

    with asked_to_stop() as stop:
        return run(Job(images, out, chosen, device, workers), stop)
