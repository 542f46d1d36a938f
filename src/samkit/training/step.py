"""The loss of one step: every crop encoded once, its masks prompted over several rounds."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from samkit.datasets.augment import Crop
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import SINGLE
from samkit.training import losses, prompts
from samkit.training.recipes import Recipe


class PromptableStep:
    """Computes losses and gradients of a batch of crops.

    The decoder goes through the crops one after the other, backwards too: its gradients add up at
    the embeddings, and the encoder is run backwards once. This keeps the temporaries in the caches.
    A crop is a window on the model's square input at a random place, so that positions mean the
    same in training as in use.
    """

    def __init__(self, sam: Sam, recipe: Recipe) -> None:
        self.sam = sam
        self.recipe = recipe

    def backward(self, crops: Sequence[Crop], rng: np.random.Generator) -> dict[str, float]:
        """Adds this batch's gradients to the parameters. Returns means of what was measured."""
        sam = self.sam
        images = torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2)
        images = (images.to(sam.device).float() - sam.pixel_mean) / sam.pixel_std
        embedding, fine = sam.encode(images)
        heads = {"": embedding, **fine}
        leaves = {name: part.detach().requires_grad_() for name, part in heads.items()}
        measured: list[dict[str, float]] = []
        for i, crop in enumerate(crops):
            own = {name: leaf[i : i + 1] for name, leaf in leaves.items()}
            loss, seen = self._crop_loss(own, crop, rng)
            (loss / len(crops)).backward()
            measured.append({"loss": float(loss.detach()), **seen})
        names = [name for name in heads if leaves[name].grad is not None]
        torch.autograd.backward(
            [heads[name] for name in names], [leaves[name].grad for name in names]
        )
        return {
            key: float(np.mean([m[key] for m in measured if key in m]))
            for key in {key for m in measured for key in m}
        }

    def _crop_loss(
        self, features: dict[str, Tensor], crop: Crop, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        sam, recipe = self.sam, self.recipe
        embedding = features[""]
        fine = {name: part for name, part in features.items() if name}
        masks = torch.from_numpy(crop.masks).to(sam.device)
        b = len(masks)
        h, w = embedding.shape[-2:]
        rows, cols = sam.prompt_encoder.image_embedding_size
        top, left = int(rng.integers(rows - h + 1)), int(rng.integers(cols - w + 1))
        pe = sam.prompt_encoder.get_dense_pe()[:, :, top : top + h, left : left + w]
        corner = torch.tensor([left, top], device=sam.device) * float(sam.config.stride)
        target = losses.shrink(masks, (4 * h, 4 * w))[:, None]  # B x 1 x 4h x 4w
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))

        points, labels, boxes = self._first_prompts(crop.masks, rng)
        previous: Tensor | None = None
        total = embedding.new_zeros(())
        seen: dict[str, float] = {}
        rounds = 1 + int(rng.choice(len(recipe.more_rounds), p=recipe.more_rounds))
        for number in range(rounds):
            sparse, dense = sam.prompt_encoder(
                points=None if points is None else (points + corner, labels),
                boxes=None if boxes is None else boxes + corner.repeat(2),
                masks=previous,
                window=(top, left, h, w),
            )
            state = sam.mask_decoder.run_transformer(embedding, pe, sparse, dense)
            logits = sam.mask_decoder.masks(state, fine=fine)  # B x 4 x 4h x 4w
            each = recipe.dice * losses.dice_loss(logits, target)
            each = each + recipe.focal * losses.normalised_focal_loss(logits, target)
            iou_error = losses.iou_loss(state.iou, logits, target).mean(1)
            single = each[:, 0]
            if number == 0:
                best = losses.candidates_loss(each[:, 1:], recipe.others)
                loss = best + recipe.single * single
            else:
                loss = single
            total = total + (loss + recipe.iou * iou_error).mean()
            with torch.no_grad():
                truth = losses.mask_iou(logits, target)
                if number == 0:
                    kind = "box" if boxes is not None else "c1"
                    pick = 1 + state.iou[:, 1:].argmax(1)
                    seen[kind] = float(truth[torch.arange(b), pick].mean())
                    seen[kind + "_best"] = float(truth[:, 1:].amax(1).mean())
                else:
                    pick = torch.zeros(b, dtype=torch.long)
                    seen[f"c{number + 1}"] = float(truth[:, SINGLE].mean())
                chosen = logits[torch.arange(b), pick]
                previous = chosen[:, None]
                if number + 1 < rounds:
                    new, kinds = prompts.corrective_points(chosen, target[:, 0] > 0.5, generator)
                    new = (new + 0.5) * (crop.image.shape[0] / logits.shape[-1]) - 0.5
                    points = (
                        new[:, None] if points is None else torch.cat([points, new[:, None]], 1)
                    )
                    labels = (
                        kinds[:, None] if labels is None else torch.cat([labels, kinds[:, None]], 1)
                    )
        return total / rounds, seen

    def _first_prompts(
        self, masks: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """A box for every mask of the crop, or a click for every one: half of the crops each."""
        device = self.sam.device
        if rng.random() < 0.4:
            boxes = np.stack([prompts.noisy_box(mask, rng) for mask in masks])
            return None, None, torch.from_numpy(boxes).to(device)
        clicks = [
            prompts.random_point(mask, rng)
            if rng.random() < 0.35
            else prompts.inner_point(mask, rng)
            for mask in masks
        ]
        points = torch.tensor(clicks, dtype=torch.float32, device=device)[:, None]
        return points, torch.ones(len(masks), 1, dtype=torch.long, device=device), None
