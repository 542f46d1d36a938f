"""Training samples: a square crop of a photograph at a random scale, with the masks it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from samkit.masks import rle

PADDING = 127
"""Grey where a crop reaches over the photograph's right or bottom edge."""
LEAST_PIXELS = 64
"""Smaller masks (in pixels of the crop) are left out."""
MOST_SHARE = 0.9
"""Masks over this share of the image are left out (SAM, appendix A, "Training algorithm")."""
LEAST_VISIBLE = 0.35
"""A mask of which a crop shows less than this share is left out."""


@dataclass(frozen=True)
class Crop:
    """One training sample: image size x size x 3 uint8, masks K x size x size bool (K may be 0)."""

    image: np.ndarray
    masks: np.ndarray


def random_crop(
    image: np.ndarray,
    annotations: Sequence[dict[str, Any]],
    size: int,
    long_side: float,
    most_masks: int,
    rng: np.random.Generator,
) -> Crop:
    """A crop of size x size pixels from the photograph scaled so that its longer side is long_side.

    image: H x W x 3 uint8. annotations: SA-1B annotations of it (`bbox` XYWH, RLE `segmentation`).
    Most crops are centred near a mask drawn at random, so that few of them are empty. Half of them
    are mirrored; brightness, contrast and colour vary a little.
    """
    h, w = image.shape[:2]
    scale = long_side / max(h, w)
    extent = size / scale  # of the crop, in pixels of the photograph
    centre = rng.uniform(0, (w, h))
    if annotations and rng.random() < 0.8:
        x, y, bw, bh = annotations[int(rng.integers(len(annotations)))]["bbox"]
        centre = np.array([x + bw / 2, y + bh / 2]) + rng.uniform(-0.35, 0.35, 2) * extent
    x0 = float(np.clip(centre[0] - extent / 2, 0, max(0.0, w - extent)))
    y0 = float(np.clip(centre[1] - extent / 2, 0, max(0.0, h - extent)))
    box = (x0, y0, min(w, x0 + extent), min(h, y0 + extent))
    masks = _masks_in(annotations, box, (h, w), size, scale, most_masks, rng)
    picture = _vary_colours(_cut(Image.fromarray(image), box, size, scale), rng)
    if rng.random() < 0.5:
        picture, masks = picture[:, ::-1], [mask[:, ::-1] for mask in masks]
    stacked = [_pad(mask, size, False) for mask in masks]
    return Crop(
        _pad(picture, size, PADDING),
        np.stack(stacked) if stacked else np.zeros((0, size, size), bool),
    )


def _cut(
    picture: Image.Image, box: tuple[float, float, float, float], size: int, scale: float
) -> np.ndarray:
    """The box of a picture, scaled; at most size x size."""
    width = min(size, max(1, round((box[2] - box[0]) * scale)))
    height = min(size, max(1, round((box[3] - box[1]) * scale)))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _pad(part: np.ndarray, size: int, fill: int) -> np.ndarray:
    """The part at the top left of a square of `fill`, as the model pads its input."""
    out = np.full((size, size, *part.shape[2:]), fill, part.dtype)
    out[: part.shape[0], : part.shape[1]] = part
    return out


def _masks_in(
    annotations: Sequence[dict[str, Any]],
    box: tuple[float, float, float, float],
    shape: tuple[int, int],
    size: int,
    scale: float,
    most_masks: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Masks that the box shows well enough, scaled like `_cut`, in random order."""
    found: list[np.ndarray] = []
    for i in rng.permutation(len(annotations)):
        if len(found) == most_masks:
            break
        annotation = annotations[i]
        x, y, w, h = annotation["bbox"]
        if x >= box[2] or y >= box[3] or x + w <= box[0] or y + h <= box[1]:
            continue
        area = annotation["area"]
        if area * scale**2 * 1.5 < LEAST_PIXELS or area > MOST_SHARE * shape[0] * shape[1]:
            continue
        whole = rle.decode(annotation["segmentation"]).astype(np.uint8) * 255
        mask = _cut(Image.fromarray(whole), box, size, scale) >= 128
        shown = int(mask.sum())
        if shown < max(LEAST_PIXELS, LEAST_VISIBLE * area * scale**2):
            continue
        if shown <= MOST_SHARE * size * size:
            found.append(mask)
    return found


def _vary_colours(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast and brightness of each channel within about a fifth; sometimes grey, or inverted."""
    values: np.ndarray = picture.astype(np.float32)
    if rng.random() < 0.15:
        values = np.repeat(values.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.05:
        values = 255 - values
    gain = rng.uniform(0.8, 1.25) * rng.uniform(0.95, 1.05, 3)
    shift = rng.uniform(-20, 20)
    values = (values - 127) * gain + 127 + shift
    return np.clip(values, 0, 255).astype(np.uint8)
