"""Thin, smooth lines around masks, blended into a picture in place.

A mask blurred by a Gaussian of width s is, near a straight edge at distance d, close to the normal
distribution function of d / s. Read backwards, the blurred value gives the distance to the edge to
a fraction of a pixel, and from it how much of each pixel the line covers. Only tiles that an edge
crosses are worked on, so the cost follows the length of the outline and not the area.
"""

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from samkit.masks.runs import window_of

_TILE = 256
_ON_EDGE = np.uint8(127)


@dataclass(frozen=True)
class MaskCrop:
    """The part of a mask inside its bounding box.

    pixels: (h, w) bool; x, y: where its first pixel lies in the image; area: true pixels.
    """

    pixels: NDArray[np.bool_]
    x: int
    y: int
    area: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the crop lies in the image, as an index."""
        height, width = self.pixels.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def crop_mask(mask: NDArray[np.bool_]) -> MaskCrop | None:
    """Cut a (H, W) mask down to its bounding box; None where it is empty."""
    window = window_of(mask)
    pixels = mask[window.slices].copy()
    if not pixels.size:
        return None
    return MaskCrop(pixels, window.left, window.top, int(np.count_nonzero(pixels)))


@dataclass(frozen=True)
class Stroke:
    """A line of one colour (RGB in 0..255), `width` pixels wide, opaque at opacity 1."""

    colour: tuple[int, int, int]
    width: float
    opacity: float = 1.0


def draw_contour(
    picture: NDArray[np.uint8], mask: MaskCrop, strokes: Sequence[Stroke], *, dash: int = 0
) -> None:
    """Draw strokes along the outline of a mask into `picture` (H, W, 3), one over the other.

    Each is centred on the mask's edge. dash: length in pixels of gaps and strokes; 0 for a whole
    line. No line runs along the border of the image, where a mask is cut off, not at its end.
    """
    half = max(stroke.width for stroke in strokes) / 2
    sigma = max(0.7, 0.75 * (half + 0.5))
    reach = int(np.ceil(3 * sigma + half)) + 1
    keep, ink = _tables(strokes, sigma)
    touched = keep < 1
    pixels, x0, y0 = _with_margin(mask, reach, picture.shape[:2])
    height, length = pixels.shape
    for top in range(0, height, _TILE):
        for left in range(0, length, _TILE):
            up, back = max(top - reach, 0), max(left - reach, 0)
            window = pixels[up : top + _TILE + reach, back : left + _TILE + reach]
            if window.all() or not window.any():
                continue
            # np.where, because Pillow hands out bools whose bytes are 255 instead of 1.
            white = Image.fromarray(np.where(window, np.uint8(255), np.uint8(0)))
            blurred = np.asarray(white.filter(ImageFilter.GaussianBlur(sigma)))
            # What is thinner than the blur would fade away; its pixels all lie on the edge.
            blurred = np.maximum(blurred, np.where(window, _ON_EDGE, np.uint8(0)))
            value = blurred[top - up :, left - back :][:_TILE, :_TILE]
            rows, columns = np.nonzero(touched[value])
            if dash:
                drawn = (rows + columns + (x0 + left + y0 + top)) // dash % 2 == 0
                rows, columns = rows[drawn], columns[drawn]
            value = value[rows, columns]
            target = picture[y0 + top :, x0 + left :]
            old = target[rows, columns]
            target[rows, columns] = old * keep[value, None] + ink[value]


def blend(
    target: NDArray[np.uint8], colour: NDArray[np.float32], alpha: NDArray[np.float32]
) -> None:
    """Mix a colour (3,) into `target` (h, w, 3) in place, by `alpha` (h, w) in [0, 1]."""
    old = target.astype(np.float32)
    old += alpha[..., None] * (colour - old)
    target[...] = (old + 0.5).astype(np.uint8)


def _with_margin(
    mask: MaskCrop, margin: int, size: tuple[int, ...]
) -> tuple[NDArray[np.bool_], int, int]:
    """Room for the line around the crop; none beyond the image."""
    height, width = mask.pixels.shape
    left, top = min(margin, mask.x), min(margin, mask.y)
    right = min(margin, size[1] - mask.x - width)
    bottom = min(margin, size[0] - mask.y - height)
    return np.pad(mask.pixels, ((top, bottom), (left, right))), mask.x - left, mask.y - top


@functools.cache
def _deviations() -> NDArray[np.float64]:
    """(256,) how many standard deviations from the edge a blurred value speaks of."""
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf(min(max(v / 255, 1e-4), 1 - 1e-4)) for v in range(256)])


def _tables(
    strokes: Sequence[Stroke], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By the blurred mask's value (256): what is kept of a pixel, and the colour (3) it gains."""
    distance = np.abs(_deviations()) * sigma
    keep, ink = np.ones(256), np.zeros((256, 3))
    for stroke in strokes:
        alpha = np.clip(stroke.width / 2 + 0.5 - distance, 0, 1) * stroke.opacity
        alpha[[0, 255]] = 0
        keep *= 1 - alpha
        ink = ink * (1 - alpha)[:, None] + alpha[:, None] * np.array(stroke.colour)
    ink[keep < 1] += 0.5  # rounds where the result is cut to whole numbers
    return keep.astype(np.float32), ink.astype(np.float32)
