"""The loop of masked pre-training, and the folder that its run is."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samkit.checkpoints.mae import save_mae
from samkit.modeling.masked_patches import MaskedAutoencoder
from samkit.training.course import Course
from samkit.training.distributed import World
from samkit.training.pretraining_images import Example, UnlabelledImages, noise_of, stacked
from samkit.training.pretraining_picture import (
    RECONSTRUCTION,
    draw_reconstructions,
    fixed_examples,
)
from samkit.training.pretraining_recipes import pretraining_rate

MODEL = "model.safetensors"
FREE_TO_CHANGE = ("steps", "save_every", "at_once")
"""What a resumed run may have otherwise than before: how long it is, what is computed together."""
WHOLE_IMAGES = 64
"""So many give the statistics of the normalisation that a pyramid's file carries."""

Report = Callable[[int, dict[str, float]], None]


class Pretrainer:
    """Pre-trains an encoder on photographs; a folder that already holds a state is resumed.

    On one kind of CPU a run that was interrupted gives the same weights, bit for bit, as one that
    was not: a step's images and what is hidden of them depend on the seed and the step's number
    alone, and nothing else is random.
    """

    def __init__(
        self,
        model: MaskedAutoencoder,
        images: UnlabelledImages,
        folder: Path,
        *,
        world: World | None = None,
        workers: int = 1,
        part_bytes: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """model: on its device. images: with the recipe of the run.

        workers: threads that read images. part_bytes: the state is cut into files of at most so
            many bytes. provenance: what the weights' file shall say beside the recipe.
        Raises UsageError where the folder's run has another recipe or model.
        """
        self.model = model
        self.images = images
        self.recipe = images.recipe
        self.folder = folder
        self.world = world or World()
        self.workers = workers
        self.part_bytes = part_bytes
        self.provenance = dict(provenance or {})
        self.device = next(model.parameters()).device
        self.share = self.world.share(self.recipe.batch)
        self.optimiser = torch.optim.AdamW(
            parameter_groups(model, self.recipe.weight_decay), betas=self.recipe.betas
        )
        self.course = Course(folder, model, self.optimiser, self.recipe)
        self._examples: list[Example] = []
        self.course.resume(FREE_TO_CHANGE)

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

        report: called after each step with its number and `loss`, `lr`, `norm` (of the gradient)
            and `seconds`, in the first process.
        should_stop: asked after each step; where any process says so, the state is saved and the
            run left. Returns whether the recipe's end was reached.
        Nothing is saved after a step without a finite loss until one with a finite loss follows.
        """
        end = self.recipe.steps if until is None else min(until, self.recipe.steps)
        self.world.same(self.step, self.folder)
        self.model.train()
        began = time.perf_counter()
        for examples in self.images.batches(self.step, end, self.share, self.workers):
            seen = self._learn(examples)
            seconds = time.perf_counter() - began  # waiting for images counts
            self.course.spent += seconds
            stop = self.world.agree(should_stop(), self.device)
            if self.world.is_first:
                if report is not None:
                    report(self.step, {**seen, "seconds": seconds})
                due = stop or self.step == end or self.step % self.recipe.save_every == 0
                if due and self.course.sound:
                    self.save()
            if stop:
                break
            began = time.perf_counter()
        return self.step == self.recipe.steps

    def save(self) -> None:
        """Writes the state, the encoder's weights and the picture, each whole or not at all."""
        self.course.save({}, self.part_bytes)
        with torch.no_grad():
            weights = self.model.encoder_weights(self._whole_images())
        save_mae(
            self.folder / MODEL,
            weights,
            self.recipe.model,
            {
                **self.provenance,
                "recipe": {**self.course.recipe, "reached": self.step},
                "seconds": round(self.course.spent),
            },
        )
        self._examples = self._examples or fixed_examples(self.images)
        if self._examples:
            picture = self.folder / RECONSTRUCTION
            draw_reconstructions(self.model, self._examples, self.recipe.sam, picture)

    def _learn(self, examples: Sequence[Example]) -> dict[str, float]:
        """One step of the optimiser on this process's share of a batch."""
        recipe = self.recipe
        rate = pretraining_rate(recipe, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for start in range(0, len(examples), recipe.at_once):
            some = examples[start : start + recipe.at_once]
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=recipe.autocast == "bfloat16"
            ):
                pixels = stacked(some, recipe.sam, self.device)
                loss = self.model(pixels, noise_of(some, self.device)).loss
            # Every image hides as many patches, so means of parts make the mean of the batch.
            (loss * (len(some) / recipe.batch)).backward()
            total += loss.item() * len(some) / len(examples)
        self.world.sum_gradients(self.model.parameters())
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = float(nn.utils.get_total_norm(gradients))
        seen = self.world.mean({"loss": total})
        self.course.advance(seen["loss"], norm)
        return {**seen, "lr": rate, "norm": norm}

    def _whole_images(self) -> Iterator[Tensor]:
        """Crops with nothing hidden; none is read unless they are asked for."""
        recipe = self.recipe
        count = min(WHOLE_IMAGES, 2 * recipe.batch)
        for start in range(0, count, recipe.at_once):
            numbers = range(start, min(count, start + recipe.at_once))
            examples = [self.images.example(self.step, number) for number in numbers]
            yield stacked(examples, recipe.sam, self.device)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: weight decay acts on all but biases and what has one dimension."""
    learned = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learned if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in learned if p.dim() <= 1], "weight_decay": 0.0},
    ]
