"""The training loop, and the folder that a run is."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samkit.checkpoints.samkit_files import save
from samkit.modeling import Sam, ViTConfig
from samkit.training.course import Course
from samkit.training.distributed import World
from samkit.training.loader import CropLoader
from samkit.training.optimiser import AveragedWeights, learning_rate, parameter_groups
from samkit.training.photographs import Photographs
from samkit.training.provenance import joined
from samkit.training.recipes import Recipe
from samkit.training.step import PromptableStep
from samkit.training.validation import choice, validate

MODEL = "model.safetensors"
"""The weights that a run keeps: the best on the images kept aside, else the last."""
FREE_TO_CHANGE = ("steps", "save_every", "validate_every", "at_once", "cooldown")
"""What a resumed run may have otherwise than before: how long it is and how it is watched."""

Report = Callable[[int, dict[str, float]], None]


class Trainer:
    """Trains a model on photographs; a folder that already holds a state is resumed.

    On one kind of CPU a run that was interrupted gives the same weights, bit for bit, as one that
    was not: the images and prompts of a step, dropout and drop path depend on the seed and the
    step's number alone, everything else is in the state.
    """

    def __init__(
        self,
        sam: Sam,
        photographs: Photographs,
        recipe: Recipe,
        folder: Path,
        *,
        world: World | None = None,
        workers: int = 1,
        part_bytes: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """sam: on its device; what does not require gradients stays as it is.

        workers: threads that make crops. part_bytes: the state is cut into files of at most so
            many bytes. provenance: JSON values that the weights' file shall have beside the recipe
            and the scores, such as data and licence; see `joined` for a run that goes on.
        Raises UsageError where the folder's run has another recipe, model or init.
        """
        self.sam = sam
        self.photographs = photographs
        self.recipe = recipe
        self.folder = folder
        self.world = world or World()
        self.workers = workers
        self.part_bytes = part_bytes
        self.provenance = dict(provenance or {})
        encoder = sam.config.image_encoder
        self.loader = CropLoader(
            photographs,
            recipe,
            sam.image_encoder.img_size,
            whole_input=isinstance(encoder, ViTConfig),
        )
        self.share = self.world.share(recipe.batch)
        self.averaged = AveragedWeights(sam, recipe.ema) if recipe.ema else None
        self.optimiser = torch.optim.AdamW(parameter_groups(sam, recipe), betas=recipe.betas)
        self.course = Course(folder, sam, self.optimiser, recipe)
        self.best: dict[str, float] = {}
        self.looked = 0
        self._resume()

    @property
    def step(self) -> int:
        """Steps that were taken."""
        return self.course.step

    @property
    def skipped(self) -> int:
        """Steps that were taken without a finite loss, and changed nothing."""
        return self.course.skipped

    def run(
        self,
        until: int | None = None,
        report: Report | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Trains up to step `until` (the recipe's end where None), saving as it goes.

        report: called after each step with its number and what was measured, in the first process;
            `seconds` are those of the step, of which it `waited` so many for its images.
        should_stop: asked after each step; where any process says so, the state is saved and the
            run left. Returns whether the recipe's end was reached.
        Nothing is saved after a step without a finite loss until one with a finite loss follows.
        """
        recipe, world = self.recipe, self.world
        end = recipe.steps if until is None else min(until, recipe.steps)
        world.same(self.step, self.folder)
        step_of = PromptableStep(self.sam, recipe)
        if self.step and self._look() and world.is_first:  # stopped when it was time
            self._save()
        self._train_mode()
        asked = time.perf_counter()
        for crops in self.loader.batches(self.step, end, self.share, self.workers):
            waited = time.perf_counter() - asked
            torch.manual_seed(self._seed(world.rank))  # dropout, drop path
            rate = learning_rate(recipe, self.step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate * group["scale"]
            self.optimiser.zero_grad(set_to_none=True)
            rngs = [np.random.default_rng([recipe.seed, self.step, k, 1]) for k in self.share]
            seen = world.mean(step_of.backward(crops, rngs, recipe.batch))
            world.sum_gradients(self.sam.parameters())
            norm = torch.nn.utils.clip_grad_norm_(self.sam.parameters(), recipe.clip_norm)
            if self.course.advance(seen["loss"], float(norm)) and self.averaged is not None:
                self.averaged.update(self.sam, self.step - 1)
            seconds = time.perf_counter() - asked
            self.course.spent += seconds
            seen |= {"lr": rate, "norm": float(norm), "seconds": seconds, "waited": waited}
            stop = world.agree(should_stop(), self.sam.device)
            if not stop and self.course.sound:  # a stop is quick; a run that goes on looks then
                seen |= self._look()
            due = stop or self.step == end or self.step % recipe.save_every == 0
            if due and self.course.sound and world.is_first:
                self._save()
            if report is not None and world.is_first:
                report(self.step, seen)
            if stop:
                break
            self._train_mode()
            asked = time.perf_counter()
        return self.step == recipe.steps

    def kept_weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights where the recipe averages, else the present ones."""
        return self.sam.state_dict() if self.averaged is None else self.averaged.values

    def _train_mode(self) -> None:
        """Training mode, but for frozen parts: they are used as they will be."""
        self.sam.train()
        for part in self.sam.children():
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()

    def _seed(self, rank: int) -> int:
        return int(np.random.default_rng([self.recipe.seed, self.step, rank, 2]).integers(1 << 62))

    def _look(self) -> dict[str, float]:
        """Scores the images kept aside where it is time, once a step; all processes share them.

        The best weights are written at once, before a state knows them as the best.
        """
        every = self.recipe.validate_every
        due = every and (self.step % every == 0 or self.step == self.recipe.steps)
        if not due or self.looked == self.step or not self.photographs.kept_aside:
            return {}
        scores = validate(self.sam, self.kept_weights(), self.photographs, world=self.world)
        self.looked = self.step
        if scores and (not self.best or choice(scores) > choice(self.best)):
            self.best = {"step": float(self.step), **scores}
            if self.world.is_first:
                self._save_model()
        return {f"held_out_{key}": value for key, value in scores.items()}

    def _save(self) -> None:
        """Writes the state, and the weights where none were chosen as the best."""
        if not self.best:
            self._save_model()
        self._save_state()

    def _save_state(self) -> None:
        averaged = None if self.averaged is None else self.averaged.values
        more = {"best": self.best, "looked": self.looked, "provenance": self.provenance}
        self.course.save({"averaged": averaged, **more}, self.part_bytes)

    def _save_model(self) -> None:
        """Writes the kept weights as a file that `samkit.load` reads."""
        current = {name: value.clone() for name, value in self.sam.state_dict().items()}
        self.sam.load_state_dict(self.kept_weights())
        try:
            save(
                self.sam,
                self.folder / MODEL,
                provenance={
                    **self.provenance,
                    "recipe": {**self.course.recipe, "reached": self.step},
                    "metrics": self.best,
                    "seconds": round(self.course.spent),
                },
            )
        finally:
            self.sam.load_state_dict(current)

    def _resume(self) -> None:
        state = self.course.resume(FREE_TO_CHANGE)
        if state is None:
            return
        if self.averaged is not None and state["averaged"] is not None:
            device = self.sam.device
            self.averaged.values = {k: v.to(device) for k, v in state["averaged"].items()}
        self.best = state["best"]
        self.looked = state.get("looked", self.step)
        self.provenance = joined(state.get("provenance", {}), self.provenance, self.folder)
