"""Training samples: a square crop of a photograph at a random scale, with the masks it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
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

Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """One training sample: image size x size x 3 uint8, masks K x size x size bool (K may be 0).

    filled: the (rows, columns) at the top left that show the photograph; the rest is padding, as
    the model pads its input. None where there is no padding.
    """

    image: Pixels
    masks: Bools
    filled: tuple[int, int] | None = None


@dataclass(frozen=True)
class Frame:
    """A rectangle x0, y0, x1, y1 of a photograph, and the height x width pixels it becomes."""

    x0: float
    y0: float
    x1: float
    y1: float
    height: int
    width: int

    @classmethod
    def at(cls, x0: float, y0: float, shape: tuple[int, int], size: int, scale: float) -> "Frame":
        """What size x size pixels show of a photograph of `shape` (H, W) scaled by `scale`."""
        x1, y1 = min(shape[1], x0 + size / scale), min(shape[0], y0 + size / scale)
        height, width = (min(size, max(1, round(side * scale))) for side in (y1 - y0, x1 - x0))
        return cls(x0, y0, x1, y1, height, width)

    def cut(self, image: Pixels) -> Pixels:
        """The photograph's part, scaled: height x width x 3."""
        part = Image.fromarray(image).resize(
            (self.width, self.height), _LINEAR, box=(self.x0, self.y0, self.x1, self.y1)
        )
        return np.asarray(part)

    def shows(self, bbox: Sequence[float]) -> bool:
        """Whether any of a box [x, y, w, h] of the photograph lies in the frame."""
        x, y, w, h = bbox
        return x < self.x1 and y < self.y1 and x + w > self.x0 and y + h > self.y0

    def cut_mask(self, mask: Bools, bbox: Sequence[float]) -> tuple[Bools, tuple[slice, slice]]:
        """A mask of the photograph, scaled; only the pixels that its box [x, y, w, h] can reach.

        Returns them and their place among the height x width pixels: what `cut` would give of the
        whole mask is false outside it. Most masks are small, so this saves most of the time.
        """
        x, y, w, h = bbox
        rows, above, below = _reach(y, y + h, self.y0, self.y1, self.height, mask.shape[0])
        columns, left, right = _reach(x, x + w, self.x0, self.x1, self.width, mask.shape[1])
        part = mask[above.start : above.stop, left.start : left.stop]
        scaled = Image.fromarray(part.astype(np.uint8) * 255).resize(
            (columns.stop - columns.start, rows.stop - rows.start),
            _LINEAR,
            box=(right[0], below[0], right[1], below[1]),
        )
        return np.asarray(scaled) >= 128, (rows, columns)


_LINEAR = Image.Resampling.BILINEAR


def _reach(
    first: float, last: float, start: float, end: float, count: int, length: int
) -> tuple[slice, slice, tuple[float, float]]:
    """One side of `Frame.cut_mask`: first … last of a photograph's `length` pixels, where
    start … end become `count` pixels.

    Returns the pixels that come of it, those of the photograph that they are made of, and the exact
    stretch of them, counted from the first of those.
    """
    step = (end - start) / count
    spread = max(1.0, step)  # how far a scaled pixel gathers light, in pixels of the photograph
    low = max(0, int((first - spread - start) / step) - 1)
    high = min(count, int((last + spread - start) / step) + 2)
    origin = max(0, int(start + low * step - spread) - 1)
    stop = min(length, int(start + high * step + spread) + 2)
    stretch = (max(0.0, start + low * step - origin), start + high * step - origin)
    return slice(low, high), slice(origin, stop), (stretch[0], min(stretch[1], stop - origin))


def random_crop(
    image: Pixels,
    annotations: Sequence[Mapping[str, Any]],
    size: int,
    long_side: float,
    most_masks: int,
    rng: np.random.Generator,
    *,
    mirror: bool = True,
    vary_colours: bool = True,
    turn: bool = False,
) -> Crop:
    """A crop of size x size pixels from the photograph scaled so that its longer side is long_side.

    image: H x W x 3 uint8. annotations: SA-1B annotations of it (`bbox` XYWH, RLE `segmentation`).
    Most crops are centred near a mask drawn at random, so that few of them are empty. mirror:
    half of them are. vary_colours: brightness, contrast and colour change a little. turn: by
    0, 90, 180 or 270 degrees, for pictures that have no up.
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
    frame = Frame.at(x0, y0, (h, w), size, scale)
    return _sample(image, annotations, frame, size, most_masks, rng, mirror, vary_colours, turn)


def large_scale_jitter(
    image: Pixels,
    annotations: Sequence[Mapping[str, Any]],
    size: int,
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = (0.1, 2.0),
    most_masks: int,
    mirror: bool = True,
    vary_colours: bool = False,
    turn: bool = False,
) -> Crop:
    """Large-scale jitter (SAM, appendix A; Ghiasi et al., 2021): scaled at random, then cropped at
    a random place, or padded, to size x size.

    scale: range of the photograph's longer side in sizes, drawn uniformly. Everything else is as in
    `random_crop`.
    """
    h, w = image.shape[:2]
    ratio = float(rng.uniform(*scale)) * size / max(h, w)
    x0, y0 = (float(rng.uniform(0, max(0.0, side - size / ratio))) for side in (w, h))
    frame = Frame.at(x0, y0, (h, w), size, ratio)
    return _sample(image, annotations, frame, size, most_masks, rng, mirror, vary_colours, turn)


def _sample(
    image: Pixels,
    annotations: Sequence[Mapping[str, Any]],
    frame: Frame,
    size: int,
    most_masks: int,
    rng: np.random.Generator,
    mirror: bool,
    vary_colours: bool,
    turn: bool,
) -> Crop:
    """The frame of a photograph with its masks, perhaps mirrored and turned, on a padded square."""
    masks = _masks_in(annotations, frame, image.shape[0] * image.shape[1], size, most_masks, rng)
    picture = frame.cut(image)
    if vary_colours:
        picture = _vary_colours(picture, rng)
    mirrored = bool(mirror and rng.random() < 0.5)
    turns = int(rng.integers(4)) if turn else 0
    square = np.full((size, size, 3), PADDING, np.uint8)
    _corner(square, frame, mirrored, turns)[:] = picture
    squares = np.zeros((len(masks), size, size), bool)
    for out, (mask, place) in zip(squares, masks, strict=True):
        _corner(out, frame, mirrored, turns)[place] = mask
    filled = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
    return Crop(square, squares, filled)


def _corner(square: NDArray[Any], frame: Frame, mirrored: bool, turns: int) -> NDArray[Any]:
    """The top left of a square as a view of height x width, such that what is written into it
    comes to lie mirrored and then turned `turns` times by 90 degrees."""
    sides = (frame.height, frame.width)
    rows, columns = sides[::-1] if turns % 2 else sides
    view = np.rot90(square[:rows, :columns], -turns)
    return view[:, ::-1] if mirrored else view


def _masks_in(
    annotations: Sequence[Mapping[str, Any]],
    frame: Frame,
    pixels: int,
    size: int,
    most_masks: int,
    rng: np.random.Generator,
) -> list[tuple[Bools, tuple[slice, slice]]]:
    """Masks that the frame shows well enough, as `Frame.cut_mask` gives them, in random order.

    pixels: of the whole photograph.
    """
    magnified = (frame.height * frame.width) / ((frame.y1 - frame.y0) * (frame.x1 - frame.x0))
    found: list[tuple[Bools, tuple[slice, slice]]] = []
    for place in rng.permutation(len(annotations)):
        if len(found) == most_masks:
            break
        annotation = annotations[place]
        area = annotation["area"]
        if not frame.shows(annotation["bbox"]) or area > MOST_SHARE * pixels:
            continue
        if area * magnified * 1.5 < LEAST_PIXELS:
            continue
        part = frame.cut_mask(rle.decode(annotation["segmentation"]), annotation["bbox"])
        shown = int(np.count_nonzero(part[0]))
        if max(LEAST_PIXELS, LEAST_VISIBLE * area * magnified) <= shown <= MOST_SHARE * size**2:
            found.append(part)
    return found


def _vary_colours(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Contrast and brightness of each channel within about a fifth; sometimes grey, or inverted."""
    grey, inverted = rng.random() < 0.15, rng.random() < 0.05
    gain = rng.uniform(0.8, 1.25) * rng.uniform(0.95, 1.05, 3)
    shift = rng.uniform(-20, 20)
    values = np.arange(256)[::-1] if inverted else np.arange(256)
    tables = np.clip((values[:, None] - 127) * gain + 127 + shift, 0, 255).astype(np.uint8)
    if grey:
        picture = np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., None], 3, axis=2)
    return np.asarray(Image.fromarray(picture).point(tables.T.reshape(-1).tolist()))
