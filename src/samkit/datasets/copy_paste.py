"""Copy-paste augmentation: an object of one photograph laid on a crop of another.

Ghiasi et al., 2021, "Simple Copy-Paste is a Strong Data Augmentation Method".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.augment import LEAST_PIXELS, LEAST_VISIBLE, Bools, Crop, Frame, Pixels
from samkit.masks import rle
from samkit.masks.runs import window_of

LARGEST_DONOR = 0.5
"""Masks over this share of their photograph are rather surroundings than objects."""
SIDES = (0.1, 0.6)
"""Range of the pasted object's longer side, as a share of the crop's."""
MOST_MAGNIFIED = 2.0
"""Objects are not enlarged more than so many times."""


def copy_paste(
    crop: Crop,
    image: Pixels,
    annotations: Sequence[Mapping[str, Any]],
    rng: np.random.Generator,
    most_masks: int,
) -> Crop:
    """The crop with one object of another photograph on it, at a random size and place.

    image: H x W x 3 uint8. annotations: its masks, as `random_crop` takes them; one is drawn.
    Half of the objects are mirrored; their border pixels are mixed with what lies below them.
    The object's mask comes first in what is returned. What it covers is taken from the other masks,
    and those of which less than LEAST_VISIBLE or LEAST_PIXELS is left are dropped, as are the last
    ones beyond most_masks. Where the object drawn does not suit, the crop is returned as it is.
    """
    drawn = _draw_object(crop.image.shape[0], image, annotations, rng)
    if drawn is None:
        return crop
    colours, shape = drawn
    rows, columns = crop.filled or crop.image.shape[:2]
    top = int(rng.integers(rows)) - shape.shape[0] // 2
    left = int(rng.integers(columns)) - shape.shape[1] // 2
    place, part = _overlap(top, left, shape.shape, (rows, columns))
    visible = shape[part]
    if np.count_nonzero(visible) < max(LEAST_PIXELS, LEAST_VISIBLE * np.count_nonzero(shape)):
        return crop
    pixels = crop.image.copy()
    weight = _feathered(shape)[part][..., None]
    mixed = weight * colours[part] + (1 - weight) * pixels[place]
    pixels[place] = np.rint(mixed).astype(np.uint8)
    pasted = np.zeros((1, *pixels.shape[:2]), bool)
    pasted[0][place] = visible
    masks = np.concatenate([pasted, _uncovered(crop.masks, place, visible)])[:most_masks]
    return replace(crop, image=pixels, masks=masks)


def _draw_object(
    size: int, image: Pixels, annotations: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> tuple[Pixels, Bools] | None:
    """Pixels (h x w x 3) and mask (h x w) of an object, scaled for a crop of size x size."""
    largest = LARGEST_DONOR * image.shape[0] * image.shape[1]
    fit = [one for one in annotations if LEAST_PIXELS <= one["area"] <= largest]
    if not fit:
        return None
    mask = rle.decode(fit[int(rng.integers(len(fit)))]["segmentation"])
    side = size * float(np.exp(rng.uniform(*np.log(SIDES))))
    mirrored = rng.random() < 0.5
    window = window_of(mask)
    height, width = window.bottom - window.top, window.right - window.left
    scale = min(MOST_MAGNIFIED, side / max(height, width, 1))
    if min(height, width) * scale < 1:
        return None
    sides = (round(height * scale), round(width * scale))
    frame = Frame(window.left, window.top, window.right, window.bottom, *sides)
    shape = np.zeros(sides, bool)
    cut, place = frame.cut_mask(mask, [window.left, window.top, width, height])
    shape[place] = cut
    colours = frame.cut(image)
    return (colours[:, ::-1], shape[:, ::-1]) if mirrored else (colours, shape)


def _overlap(
    top: int, left: int, shape: tuple[int, ...], within: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a part of `shape` at (top, left) lies within a picture, and which of it that is."""
    starts = [max(0, first) for first in (top, left)]
    ends = [min(w, f + s) for w, f, s in zip(within, (top, left), shape, strict=False)]
    place = (slice(starts[0], ends[0]), slice(starts[1], ends[1]))
    part = (slice(starts[0] - top, ends[0] - top), slice(starts[1] - left, ends[1] - left))
    return place, part


def _feathered(shape: Bools) -> NDArray[np.float32]:
    """1 inside, 0 outside, and in between on the mask's border pixels: the share of true ones among
    a pixel and its eight neighbours."""
    height, width = shape.shape
    padded = np.pad(shape, 1).astype(np.float32)
    across = padded[:, :width] + padded[:, 1 : width + 1] + padded[:, 2:]
    around = across[:height] + across[1 : height + 1] + across[2:]
    return np.where(shape, around / np.float32(9), np.float32(0))


def _uncovered(masks: Bools, place: tuple[slice, slice], covered: Bools) -> Bools:
    """What is left of masks K x S x S without the covered pixels at a place, where it is enough."""
    before = np.count_nonzero(masks, axis=(1, 2))
    lost = np.count_nonzero(masks[(slice(None), *place)] & covered, axis=(1, 2))
    left = before - lost
    kept = masks[(lost == 0) | (left >= np.maximum(LEAST_PIXELS, LEAST_VISIBLE * before))]
    kept[(slice(None), *place)] &= ~covered  # indexing by a condition has made a copy
    return kept
