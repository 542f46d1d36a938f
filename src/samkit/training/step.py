"""The loss of one step: every image encoded once, its masks prompted over several rounds."""

import contextlib
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.datasets.augment import Crop
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import SINGLE
from samkit.training import losses, prompts
from samkit.training.recipes import Recipe
from samkit.training.rounds import CropPlace, Prompts


class PromptableStep:
    """Computes losses and gradients of a batch of images (SAM, appendix A, "Training algorithm").

    The decoder goes through the images and rounds one after the other, backwards too: its gradients
    add up at the embeddings, and the encoder is run backwards once. So what is kept for going
    backwards is of one round at a time, which saves memory and stays in the caches.
    A crop is a window on the model's square input at a random place, so that positions mean the
    same in training as in use.
    """

    def __init__(self, sam: Sam, recipe: Recipe) -> None:
        self.sam = sam
        self.recipe = recipe
        self.encoder_learns = any(p.requires_grad for p in sam.image_encoder.parameters())
        self.pixel_loss = losses.PIXEL_LOSSES[recipe.pixel_loss]

    def backward(
        self, crops: Sequence[Crop], rngs: Sequence[np.random.Generator], batch: int
    ) -> dict[str, float]:
        """Adds the gradients of some images of a batch to the parameters.

        rngs: one for each image, from which its prompts are drawn. batch: number of images of the
        whole batch, by which each image's loss is divided.
        Returns means over these images of what was measured: `loss`; mean IoU of the most confident
        and of the best of three after a click (`c1`, `c1_best`) or a box (`box`, `box_best`); and
        of the single mask after more rounds (`c2`, `c3` …).
        """
        measured: list[dict[str, float]] = []
        for _, group in groupby(
            zip(crops, rngs, strict=True), key=lambda pair: pair[0].image.shape[0]
        ):
            same_size = list(group)
            for start in range(0, len(same_size), self.recipe.at_once):
                measured += self._backward_of(same_size[start : start + self.recipe.at_once], batch)
        return {
            key: float(np.mean([m[key] for m in measured if key in m]))
            for key in {key for m in measured for key in m}
        }

    def _backward_of(
        self, crops: Sequence[tuple[Crop, np.random.Generator]], batch: int
    ) -> list[dict[str, float]]:
        """The part of `backward` for images of one size that are encoded together."""
        sam = self.sam
        images = torch.from_numpy(np.stack([crop.image for crop, _ in crops])).permute(0, 3, 1, 2)
        images = (images.to(sam.device).float() - sam.pixel_mean) / sam.pixel_std
        for image, (crop, _) in zip(images, crops, strict=True):  # padding, as Sam.preprocess does
            height, width = crop.filled or crop.image.shape[:2]
            image[:, height:] = 0
            image[:, :, width:] = 0
        with self._autocast(), torch.set_grad_enabled(self.encoder_learns):
            embedding, fine = sam.encode(images)
        heads = {"": embedding.float(), **{name: part.float() for name, part in fine.items()}}
        leaves = {
            name: part.detach().requires_grad_(self.encoder_learns) for name, part in heads.items()
        }
        measured = [
            self._backward_of_image(
                {name: leaf[i : i + 1] for name, leaf in leaves.items()}, crop, rng, batch
            )
            for i, (crop, rng) in enumerate(crops)
        ]
        learned = [name for name in heads if leaves[name].grad is not None]
        torch.autograd.backward(
            [heads[name] for name in learned], [leaves[name].grad for name in learned]
        )
        return measured

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.recipe.autocast == "none":
            return contextlib.nullcontext()
        return torch.autocast(self.sam.device.type, getattr(torch, self.recipe.autocast))

    def _backward_of_image(
        self, features: Mapping[str, Tensor], crop: Crop, rng: np.random.Generator, batch: int
    ) -> dict[str, float]:
        """Runs the decoder over all rounds of one image's masks, each round backwards at once.

        Returns what was measured; `loss` is the mean over masks and rounds.
        """
        sam, recipe = self.sam, self.recipe
        embedding = features[""]
        fine = {name: part for name, part in features.items() if name}
        masks = torch.from_numpy(crop.masks).to(sam.device)
        place = CropPlace.draw(sam, embedding, rng)
        target = losses.shrink(masks, place.low_res)[:, None]  # B x 1 x 4h x 4w
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))

        given = self._first_prompts(crop.masks, rng)
        others = torch.where(given.by_box, recipe.others_box, recipe.others)
        rounds = prompts.point_rounds(recipe.rounds, recipe.mask_only_rounds, rng)
        seen = {"loss": 0.0}
        for number, new_point in enumerate([False, *rounds]):
            if new_point:
                assert given.previous is not None
                given = given.with_points(
                    *prompts.corrective_points(
                        given.previous[:, 0],
                        target[:, 0] > 0.5,
                        generator,
                        inside=recipe.errors == "inside",
                        shown=place.shown(crop),
                    ),
                    crop.image.shape[0] / place.low_res[1],
                )
            with self._autocast():
                sparse, dense = given.encode(sam, place)
                state = sam.mask_decoder.run_transformer(embedding, place.positions, sparse, dense)
                logits = sam.mask_decoder.masks(state, fine=fine).float()  # B x 4 x 4h x 4w
                iou = state.iou.float()
                loss = self._round_loss(logits, iou, target, None if number else others).mean()
            loss = loss / (1 + len(rounds))
            if loss.requires_grad:
                (loss / batch).backward()
            seen["loss"] += float(loss.detach())
            with torch.no_grad():
                chosen = _measure(logits, iou, target, number, given.by_box, seen)
            given = given.with_previous(chosen)
        return seen

    def _round_loss(
        self, logits: Tensor, iou: Tensor, target: Tensor, others: Tensor | None
    ) -> Tensor:
        """B losses: of the fourth mask after several prompts, where `others` is None; after one of
        the lowest of three, and of all three by the shares `others` (B)."""
        recipe = self.recipe
        each = recipe.dice * losses.dice_loss(logits, target)
        each = each + recipe.pixel * self.pixel_loss(logits, target)
        iou_error = losses.iou_loss(iou, logits, target)
        single = each[:, 0]
        if others is None:
            return single + recipe.iou * iou_error[:, 0]
        best = losses.candidates_loss(each[:, 1:], others)
        return best + recipe.single * single + recipe.iou * iou_error.mean(1)

    def _first_prompts(self, masks: np.ndarray, rng: np.random.Generator) -> Prompts:
        """A box or a point for every mask."""
        return Prompts.first([self._first_prompt(mask, rng) for mask in masks], self.sam.device)

    def _first_prompt(self, mask: np.ndarray, rng: np.random.Generator) -> NDArray[np.float32]:
        """A box XYXY or a point (x, y)."""
        recipe = self.recipe
        if rng.random() < recipe.box_chance:
            noise = 0.0 if rng.random() < recipe.exact_boxes else prompts.BOX_NOISE
            return prompts.noisy_box(mask, rng, noise)
        inside = rng.random() < recipe.inner_chance
        draw = prompts.inner_point if inside else prompts.random_point
        return np.array(draw(mask, rng), np.float32)


def _measure(
    logits: Tensor, iou: Tensor, target: Tensor, number: int, by_box: Tensor, seen: dict[str, float]
) -> Tensor:
    """Notes how good round `number` was; returns the logits B x 4h x 4w that the next one is given.

    After one prompt these are of the most confident of three masks, later of the single one.
    """
    truth = losses.mask_iou(logits, target)
    if number > 0:
        seen[f"c{number + 1}"] = float(truth[:, SINGLE].mean())
        return logits[:, 0]
    rows = torch.arange(len(truth), device=truth.device)
    pick = 1 + iou[:, 1:].argmax(1)
    for kind, own in (("box", by_box), ("c1", ~by_box)):
        if own.any():
            seen[kind] = float(truth[rows, pick][own].mean())
            seen[kind + "_best"] = float(truth[own, 1:].amax(1).mean())
    return logits[rows, pick]
