"""Prompts drawn from true masks, as a person would give them (SAM, appendix A)."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BOX_NOISE = 0.1
"""Standard deviation of the noise on a box's sides, as a share of their length (appendix A)."""
BOX_NOISE_MOST = 20.0
"""Bound of the noise on a box's sides in pixels (SAM, appendix A)."""


def inner_point(mask: np.ndarray, rng: np.random.Generator, depth: float = 0.7) -> tuple[int, int]:
    """A random (x, y) whose distance to the mask's border is at least `depth` of the greatest.

    mask: H x W bool with at least one true pixel. depth 1 gives the farthest point.
    """
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    at = np.flatnonzero(distance >= depth * distance.max())
    y, x = divmod(int(at[rng.integers(len(at))]), mask.shape[1])
    return x, y


def random_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A random (x, y) of the mask, uniform over its pixels."""
    at = np.flatnonzero(mask)
    y, x = divmod(int(at[rng.integers(len(at))]), mask.shape[1])
    return x, y


def noisy_box(mask: np.ndarray, rng: np.random.Generator, noise: float = BOX_NOISE) -> np.ndarray:
    """The mask's box, XYXY float32 of its first and last pixels, each side moved by Gaussian noise.

    noise: its standard deviation as a share of the box's length there; at most BOX_NOISE_MOST
        pixels.
    """
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([cols[0], rows[0], cols[-1], rows[-1]], np.float32)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2) + 1
    moves = np.clip(rng.normal(0, noise, 4) * sides, -BOX_NOISE_MOST, BOX_NOISE_MOST)
    h, w = mask.shape
    moved = np.clip(box + moves, 0, [w - 1, h - 1, w - 1, h - 1])
    return moved.astype(np.float32) if (moved[2:] - moved[:2] >= 1).all() else box


def corrective_points(
    logits: Tensor,
    masks: Tensor,
    generator: torch.Generator,
    inside: bool = False,
    shown: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """One point a mask, drawn from where the prediction is wrong (SAM, appendix A).

    logits, masks: B x h x w of the prediction and of the truth (bool), of one resolution.
    generator: on the CPU. inside: draw points likelier well inside the error region than at its
    border; uniformly over it otherwise.
    Returns coordinates B x 2 (x, y in cells of that resolution) and labels B: 1 where the mask was
    missed, 0 where it was exceeded. A perfect prediction gives a point of the mask with label 1.
    """
    b, _, width = masks.shape
    error = ((logits > 0) != masks).float()
    if shown is not None:
        error[:, shown[0] :], error[:, :, shown[1] :] = 0, 0
    weights = error * F.avg_pool2d(error[:, None], 5, 1, 2)[:, 0] ** 2 if inside else error
    perfect = error.flatten(1).sum(1) == 0
    weights[perfect] = 1e-6 + masks[perfect].float()
    at = torch.multinomial(weights.flatten(1).cpu(), 1, generator=generator)[:, 0].to(masks.device)
    points = torch.stack([at % width, at // width], dim=1).float()
    labels = masks.flatten(1)[torch.arange(b, device=masks.device), at].long()
    return points, labels


def point_rounds(
    chances: tuple[float, ...], mask_only: int, rng: np.random.Generator
) -> list[bool]:
    """Which rounds after the first bring a new point (True) and which only the previous mask.

    chances: of 0, 1, 2 … new points. mask_only: rounds without one: the last round, and others
    inserted at random between the points (SAM, appendix A: eight points and two such rounds).
    """
    rounds = [True] * int(rng.choice(len(chances), p=chances))
    if mask_only:
        for _ in range(mask_only - 1):
            rounds.insert(int(rng.integers(len(rounds) + 1)), False)
        rounds.append(False)
    return rounds
