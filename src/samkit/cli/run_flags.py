"""Flags that the verbs which learn share: what of a recipe is changed, and how long a run is."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from samkit.cli.flags import Flag
from samkit.cli.stopping import asked_to_stop
from samkit.errors import UsageError

_ABOVE_0 = ("steps", "batch", "at_once", "lr", "save_every", "workers", "until", "max_minutes")
_OF_THE_RECIPE = ("steps", "batch", "at_once", "lr", "seed", "save_every")


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """A run's length, and what it has otherwise than its recipe."""

    steps: int | None = None
    """Optimiser steps, instead of the recipe's."""
    batch: int | None = None
    """Images of a step over all processes, instead of the recipe's."""
    at_once: int | None = None
    """Images that are computed together, instead of the recipe's; fewer need less memory."""
    lr: float | None = None
    """Largest learning rate, instead of the recipe's."""
    seed: int | None = None
    """Of everything random, instead of the recipe's."""
    save_every: int | None = None
    """Steps between two savings, instead of the recipe's."""
    bfloat16: Flag = False
    """Compute matrix products in bfloat16."""
    device: str = "auto"
    """auto, cpu, cuda, mps."""
    workers: int = 1
    """Threads that read images and cut crops."""
    until: int | None = None
    """Stop after this step; the same command goes on from there."""
    max_minutes: float | None = None
    """Stop after so many minutes; the same command goes on from there."""
    shard_mb: int | None = None
    """Cut the run's state into files of at most so many megabytes."""

    def __post_init__(self) -> None:
        """Raises UsageError for numbers with which nothing runs."""
        for name in _ABOVE_0:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')} must be more than 0, not {value}.")
        if self.lr == math.inf:
            raise UsageError("--lr must be a finite number.")
        if self.seed is not None and self.seed < 0:
            raise UsageError(f"--seed takes a number from 0, not {self.seed}.")
        if self.shard_mb is not None and self.shard_mb < 1:
            raise UsageError(f"--shard-mb must be at least 1, not {self.shard_mb}.")

    def changes(self) -> dict[str, Any]:
        """Those numbers of the recipe that are asked for otherwise."""
        asked = {name: getattr(self, name) for name in _OF_THE_RECIPE}
        if self.bfloat16:
            asked["autocast"] = "bfloat16"
        return {name: value for name, value in asked.items() if value is not None}

    def end(self, steps: int) -> int:
        """The step at which a recipe of so many is left."""
        return steps if self.until is None else min(self.until, steps)

    @property
    def part_bytes(self) -> int | None:
        """Largest size in bytes of a file of the state."""
        return None if self.shard_mb is None else self.shard_mb << 20

    @contextmanager
    def stopping(self) -> Iterator[Callable[[], bool]]:
        """Within it, says whether the run shall stop: it was asked to, or its minutes are over."""
        deadline = None if self.max_minutes is None else time.monotonic() + 60 * self.max_minutes
        with asked_to_stop() as asked:
            yield lambda: asked() or (deadline is not None and time.monotonic() > deadline)
