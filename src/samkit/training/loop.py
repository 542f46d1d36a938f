"""The training loop: schedule, optimiser, averaged weights, state that survives."""

import csv
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from samkit.errors import SamkitError
from samkit.modeling import Sam
from samkit.training.loader import CropLoader, Photo
from samkit.training.recipes import Recipe
from samkit.training.state import load_state, save_state
from samkit.training.step import PromptableStep

NAN_LIMIT = 10
"""So many steps in a row without a finite loss end the run."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, constant, linear cool-down to zero."""
    rise = min(1.0, (step + 1) / max(1, recipe.warmup))
    fall = min(1.0, (recipe.steps - step) / max(1, recipe.cooldown))
    return recipe.lr * min(rise, fall)


class Trainer:
    """Trains a model on photographs; a folder that already holds a state is resumed."""

    def __init__(self, sam: Sam, photos: Sequence[Photo], recipe: Recipe, folder: Path) -> None:
        self.sam = sam
        self.recipe = recipe
        self.folder = folder
        self.loader = CropLoader(photos, recipe, sam.image_encoder.img_size, sam.config.stride)
        self.averaged = {name: value.clone() for name, value in sam.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self._groups(), betas=recipe.betas)
        self.step = 0
        self.skipped = 0
        folder.mkdir(parents=True, exist_ok=True)
        state = load_state(folder)
        if state is not None:
            sam.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.averaged = state["averaged"]
            self.step, self.skipped = state["step"], state["skipped"]

    def _groups(self) -> list[dict[str, object]]:
        """Trunk and rest at their rates; no decay on norms, biases and embeddings."""
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, value in self.sam.named_parameters():
            trunk = name.startswith("image_encoder.trunk.")
            decays = value.dim() > 1 and "embed" not in name and "token" not in name
            groups.setdefault((trunk, decays), []).append(value)
        return [
            {
                "params": values,
                "scale": self.recipe.trunk_lr_scale if trunk else 1.0,
                "weight_decay": self.recipe.weight_decay if decays else 0.0,
            }
            for (trunk, decays), values in groups.items()
        ]

    def run(
        self,
        until: int | None = None,
        report: Callable[[int, dict[str, float]], None] | None = None,
        save_every: int = 100,
    ) -> None:
        """Trains up to step `until` (the recipe's end where None), saving as it goes."""
        end = self.recipe.steps if until is None else min(until, self.recipe.steps)
        step_of = PromptableStep(self.sam, self.recipe)
        self.sam.train()
        bad = 0
        for crops in self.loader.batches(self.step, end):
            began = time.perf_counter()
            rng = np.random.default_rng([self.recipe.seed, self.step, 1])
            torch.manual_seed(int(rng.integers(1 << 62)))  # dropout, drop path
            rate = learning_rate(self.recipe, self.step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate * group["scale"]
            self.optimiser.zero_grad(set_to_none=True)
            seen = step_of.backward(crops, rng)
            norm = torch.nn.utils.clip_grad_norm_(self.sam.parameters(), self.recipe.clip_norm)
            if math.isfinite(seen["loss"]) and bool(torch.isfinite(norm)):
                self.optimiser.step()
                self._average()
                bad = 0
            else:
                self.skipped += 1
                bad += 1
                if bad == NAN_LIMIT:
                    raise SamkitError(f"The loss was not finite {NAN_LIMIT} steps in a row.")
            self.step += 1
            seen |= {"lr": rate, "norm": float(norm), "seconds": time.perf_counter() - began}
            self._log(seen)
            if report is not None:
                report(self.step, seen)
            if self.step % save_every == 0 or self.step == end:
                self.save()

    def _average(self) -> None:
        """Moves the averaged weights; early on they follow faster."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.sam.state_dict().items():
                kept = self.averaged[name]
                if kept.is_floating_point():
                    kept.lerp_(value, 1 - decay)
                else:
                    kept.copy_(value)

    def save(self) -> None:
        """Writes the state of the run."""
        save_state(
            self.folder,
            {
                "model": self.sam.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "averaged": self.averaged,
                "step": self.step,
                "skipped": self.skipped,
            },
        )

    def _log(self, seen: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        fields = [
            "step",
            "loss",
            "c1",
            "c1_best",
            "box",
            "box_best",
            "c2",
            "c3",
            "lr",
            "norm",
            "seconds",
        ]
        fresh = not path.exists()
        with open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, fields, extrasaction="ignore", restval="")
            if fresh:
                writer.writeheader()
            writer.writerow({"step": self.step} | {k: f"{v:.5g}" for k, v in seen.items()})
