"""Masks drawn on a photograph: light fills, thin contours, distinct colours, prompts on top."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.errors import UsageError
from samkit.masks import rle
from samkit.pictures.colours import assign_colours
from samkit.pictures.contours import MaskCrop, Stroke, crop_mask, draw_contour
from samkit.pictures.prompts import Prompts, draw_prompts

_DARK = (16, 16, 20)
_NEIGHBOUR_GRID = 512
_ROWS = 64


def draw_overlay(
    image: NDArray[np.uint8],
    masks: Iterable[Any],
    *,
    prompts: Prompts | None = None,
    fill: float = 0.33,
    line_width: float | None = None,
) -> NDArray[np.uint8]:
    """Draw masks on a copy of an image.

    image: (H, W, 3) uint8 RGB.
    masks: bool arrays (H, W), or an array (N, H, W), or COCO RLEs, or records whose
        "segmentation" is either. Large masks lie at the bottom, small ones on top, in whatever
        order they come; empty ones are left out.
    prompts: drawn last.
    fill: opacity of the colour inside masks, 0 for none; where masks overlap, only the top one's
        colour shows.
    line_width: in pixels of the image; by itself it grows with the image's longer side.

    Returns (H, W, 3) uint8. Raises UsageError for an image or a mask of the wrong kind or size,
    FormatError for a broken RLE.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
        raise UsageError("The image to draw on must be an H x W x 3 array of uint8 (RGB).")
    width = default_line_width(image.shape[:2]) if line_width is None else line_width
    crops = sorted(_crops(masks, image.shape[:2]), key=lambda crop: -crop.area)
    labels = _stack(crops, image.shape[:2])
    colours = assign_colours(len(crops), _neighbours(labels))
    picture = _filled(image, labels, colours, fill)
    for crop, colour in zip(crops, colours, strict=True):
        red, green, blue = colour.tolist()
        dark_edge = Stroke(_DARK, width + 1.4, opacity=0.4)
        draw_contour(picture, crop, [dark_edge, Stroke((red, green, blue), width)])
    if prompts is not None:
        draw_prompts(picture, prompts, width)
    return picture


def default_line_width(size: tuple[int, ...]) -> float:
    """Width in pixels of thin lines on an image of size (H, W): 1.4 at 600, 4.5 at 4000."""
    return max(1.4, 0.8 + max(size) / 1100)


def mask_of(item: Any) -> NDArray[np.bool_]:
    """The (H, W) bool mask of an array, a COCO RLE or a record that holds either."""
    value = item["segmentation"] if isinstance(item, Mapping) and "segmentation" in item else item
    if isinstance(value, Mapping):
        return rle.decode(dict(value))
    mask = np.asarray(value)
    if mask.ndim != 2:
        raise UsageError(f"A mask to draw must be H x W, not {' x '.join(map(str, mask.shape))}.")
    return mask.astype(bool, copy=False)


def _crops(masks: Iterable[Any], size: tuple[int, ...]) -> Iterator[MaskCrop]:
    """One mask at a time in full size, however many there are."""
    for number, item in enumerate(masks):
        mask = mask_of(item)
        if mask.shape != size:
            raise UsageError(
                f"Mask {number} is {mask.shape[0]} x {mask.shape[1]} but the image "
                f"{size[0]} x {size[1]} (H x W); give masks of the image's size."
            )
        crop = crop_mask(mask)
        if crop is not None:
            yield crop


def _stack(crops: list[MaskCrop], size: tuple[int, ...]) -> NDArray[np.int32]:
    """(H, W): 1 + index of the mask on top, 0 where there is none."""
    labels = np.zeros(size, dtype=np.int32)
    for index, crop in enumerate(crops):
        labels[crop.window][crop.pixels] = index + 1
    return labels


def _neighbours(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(P, 2) indices of masks seen beside each other, also across a narrow gap."""
    step = max(1, -(-max(labels.shape) // _NEIGHBOUR_GRID))
    small = labels[::step, ::step]
    count = int(small.max(initial=0)) + 1
    keys = []
    for gap in (1, 2, 3):
        for first, second in ((small[:, :-gap], small[:, gap:]), (small[:-gap], small[gap:])):
            beside = (first != second) & (first > 0) & (second > 0)
            keys.append(np.unique(first[beside].astype(np.int64) * count + second[beside]))
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), count), axis=1) - 1


def _filled(
    image: NDArray[np.uint8], labels: NDArray[np.int32], colours: NDArray[np.uint8], fill: float
) -> NDArray[np.uint8]:
    picture = image.copy()
    opacity = np.uint16(round(fill * 256))
    if not opacity or not len(colours):
        return picture
    ink = np.concatenate([np.zeros((1, 3), np.uint16), colours.astype(np.uint16) * opacity])
    for row in range(0, len(image), _ROWS):  # blocks of rows, so that temporaries stay small
        block, part = picture[row : row + _ROWS], labels[row : row + _ROWS]
        keep = np.where(part[..., None] > 0, np.uint16(256) - opacity, np.uint16(256))
        block[...] = (block * keep + ink[part] + np.uint16(128)) >> np.uint16(8)
    return picture
