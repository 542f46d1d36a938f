"""Paints a synthetic scene, and keeps which pixel belongs to which part of which object."""

from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from samkit.datasets.shapes import Outline, placed
from samkit.datasets.textures import as_floats, as_pixels
from samkit.datasets.things import Part, Scene, Thing

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_HALF = 128  # of 255: a pixel that is covered by so much belongs to what covers it
_MARGIN = 16  # objects are painted so many pixels beyond the picture, for blurs to look right
_SHIFT = 4  # corners are placed to a sixteenth of a pixel


@dataclass
class Region:
    """An object or a part as it was painted, numbered in the order of painting.

    level: 0 whole, 1 part, 2 sub-part. pixels: of its own shape in the picture, before anything
    covered it. window: (top, bottom, left, right) in the picture. end: one past the number of the
    last of its parts, which follow it.
    """

    name: str
    level: int
    pixels: int
    window: tuple[int, int, int, int]
    end: int


@dataclass(frozen=True)
class Painting:
    """A painted scene. image: size x size x 3 uint8. owner: size x size int32, the number of the
    region that is seen at each pixel, -1 for the background."""

    image: Pixels
    owner: NDArray[np.int32]
    regions: list[Region]

    def visible(self) -> NDArray[np.int64]:
        """Pixels of each region that are seen, its parts' included."""
        counts = np.bincount(self.owner.reshape(-1) + 1, minlength=len(self.regions) + 1)
        sums = np.concatenate([[0], np.cumsum(counts[1:])])
        return sums[[region.end for region in self.regions]] - sums[: len(self.regions)]

    def mask(self, number: int) -> Bools:
        """What is seen of a region, its parts included, inside its window."""
        top, bottom, left, right = self.regions[number].window
        seen = self.owner[top:bottom, left:right]
        return (seen >= number) & (seen < self.regions[number].end)


def paint(scene: Scene, size: int, rng: np.random.Generator) -> Painting:
    """A scene as a picture of size x size pixels: textures, shading, shadows, light, blur, noise.

    Every pixel of a mask was painted by its object, and edges are mixed with what lies below.
    """
    canvas = _Canvas(size, scene, rng)
    for thing in scene.things:
        canvas.lay(thing)
    return Painting(_developed(canvas.colours, rng), canvas.owner, canvas.regions)


class _Canvas:
    def __init__(self, size: int, scene: Scene, rng: np.random.Generator) -> None:
        self.size = size
        self.colours: Pixels = scene.background.fill(size, size, rng)
        self.owner = np.full((size, size), -1, np.int32)
        self.regions: list[Region] = []
        self._light = np.cos(scene.light), np.sin(scene.light)
        self._rng = rng

    def lay(self, thing: Thing) -> None:
        """Paint an object over what is there."""
        sheet = _Sheet.around(thing, self.size)
        if sheet is None:
            return
        cover = sheet.fill(thing.part.outline)
        if thing.part.hole is not None:
            cover = np.minimum(cover, 255 - sheet.fill(thing.part.hole))
        self._paint(thing.part, cover, sheet, 0)
        self._shade(sheet, cover, thing.radius)
        if self._rng.random() < 0.6 and thing.part.name != "ground":
            self._shadow(sheet, cover, thing.radius)
        seen, place = cover[sheet.clip], sheet.place
        below = self.colours[place]
        self.colours[place] = _mix(sheet.colours[sheet.clip], below, _share(seen))
        own = seen >= _HALF
        self.owner[place][own] = sheet.numbers[sheet.clip][own]

    def _paint(self, part: Part, cover: Pixels, sheet: "_Sheet", level: int) -> None:
        """Paint a part and its own parts onto the sheet; cover: how much of each pixel it takes."""
        number, own = len(self.regions), cover >= _HALF
        rows, columns = sheet.place
        window = (rows.start, rows.stop, columns.start, columns.stop)
        pixels = int(np.count_nonzero(own[sheet.clip]))
        self.regions.append(Region(part.name, level, pixels, window, number + 1))
        sheet.numbers[own] = number
        x, y, width, height = cv2.boundingRect(cover)
        if width and height:
            inside = (slice(y, y + height), slice(x, x + width))
            texture = part.texture.fill(height, width, self._rng)
            if level:
                texture = _mix(texture, sheet.colours[inside], _share(cover[inside]))
            sheet.colours[inside] = texture
        for inner in part.parts:
            self._paint(inner, np.minimum(cover, sheet.fill(inner.outline)), sheet, level + 1)
        self.regions[number].end = len(self.regions)

    def _shade(self, sheet: "_Sheet", cover: Pixels, radius: float) -> None:
        """Round and bevelled bodies: lighter where they face the light."""
        kind = self._rng.random()
        if kind < 0.35:
            return
        spread = radius * (0.12 if kind < 0.55 else 0.5)
        height = _soft(cover, spread)
        dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
        dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
        slope = dx * np.float32(self._light[0]) + dy * np.float32(self._light[1])
        strength = self._rng.uniform(0.2, 0.7) * max(2.0, spread) / 4 / 255
        shade = as_floats(np.clip(1 - slope * np.float32(strength), 0.35, 1.6))
        sheet.colours = _mix(sheet.colours, np.zeros_like(sheet.colours), shade)

    def _shadow(self, sheet: "_Sheet", cover: Pixels, radius: float) -> None:
        """Darken what lies below an object, on the side away from the light."""
        far = min(radius * self._rng.uniform(0.04, 0.35), 0.06 * self.size)
        soft, strength = far * self._rng.uniform(0.2, 0.8), self._rng.uniform(0.2, 0.7)
        margin = int(far + 2 * soft) + 2
        wide = cv2.copyMakeBorder(cover, *(margin,) * 4, cv2.BORDER_CONSTANT, value=0)
        shadow = _soft(as_pixels(wide), soft) * np.float32(strength / 255)
        down, right = (-round(far * side) for side in self._light[::-1])
        top, left = sheet.corner[0] - margin + down, sheet.corner[1] - margin + right
        place, clip = _overlap(top, left, wide.shape, self.size)
        below = self.colours[place]
        if below.size:
            self.colours[place] = _mix(np.zeros_like(below), below, shadow[clip])


class _Sheet:
    """A part of the plane on which an object is painted before it is laid on the canvas."""

    def __init__(self, thing: Thing, corner: tuple[int, int], shape: tuple[int, int]) -> None:
        self.corner = corner
        self.colours: Pixels = np.zeros((*shape, 3), np.uint8)
        self.numbers = np.full(shape, -1, np.int32)
        self._thing = thing
        self.place: tuple[slice, slice]
        self.clip: tuple[slice, slice]

    @classmethod
    def around(cls, thing: Thing, size: int) -> "_Sheet | None":
        """The sheet of a thing, or None where it lies outside the picture."""
        points = np.concatenate(_in_picture(thing, thing.part.outline))
        left, top = (max(-_MARGIN, int(v) - 2) for v in np.floor(points.min(axis=0)))
        right, bottom = (min(size + _MARGIN, int(v) + 3) for v in np.ceil(points.max(axis=0)))
        if right <= max(left, 0) or bottom <= max(top, 0) or max(left, top) >= size:
            return None
        sheet = cls(thing, (top, left), (bottom - top, right - left))
        sheet.place, sheet.clip = _overlap(top, left, sheet.numbers.shape, size)
        return sheet

    def fill(self, outline: Outline) -> Pixels:
        """How much of each pixel an outline covers, 0 … 255."""
        filled = np.zeros(self.numbers.shape, np.uint8)
        curves = [
            np.rint((curve - self.corner[::-1]) * 2**_SHIFT).astype(np.int32)
            for curve in _in_picture(self._thing, outline)
        ]
        return as_pixels(cv2.fillPoly(filled, curves, (255,), cv2.LINE_AA, _SHIFT))


def _in_picture(thing: Thing, outline: Outline) -> Outline:
    return placed(outline, thing.radius, thing.angle, thing.x, thing.y)


def _overlap(
    top: int, left: int, shape: tuple[int, ...], size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a sheet at (top, left) lies in the picture, and which part of the sheet that is."""
    rows = slice(max(0, top), min(size, top + shape[0]))
    columns = slice(max(0, left), min(size, left + shape[1]))
    clip = (
        slice(rows.start - top, max(rows.start, rows.stop) - top),
        slice(columns.start - left, max(columns.start, columns.stop) - left),
    )
    return (rows, columns), clip


def _mix(over: Pixels, below: Pixels, share: Floats) -> Pixels:
    """H x W x 3 of over · share + below · (1 - share), for shares H x W."""
    return as_pixels(cv2.blendLinear(over, below, share, 1 - share))


def _share(cover: Pixels) -> Floats:
    return cover.astype(np.float32) / np.float32(255)


def _soft(cover: Pixels, spread: float) -> Floats:
    """Blurred; at fewer pixels where the blur is wide. float32 of 0 … 255."""
    height, width = cover.shape
    step = max(1, int(spread / 2))
    small = as_floats(cover)
    if step > 1:
        sides = max(1, width // step), max(1, height // step)
        small = as_floats(cv2.resize(small, sides, interpolation=cv2.INTER_AREA))
    small = as_floats(cv2.GaussianBlur(small, (0, 0), max(0.5, spread / step)))
    return small if step == 1 else as_floats(cv2.resize(small, (width, height)))


def _developed(colours: Pixels, rng: np.random.Generator) -> Pixels:
    """Light that falls off across the picture, a soft or sharp lens, and the noise of a sensor."""
    size = colours.shape[0]
    side = np.linspace(-1, 1, size, dtype=np.float32)
    dx, dy = rng.normal(0, 0.12, 2).astype(np.float32)
    light = np.float32(rng.uniform(0.85, 1.1)) + dx * side + dy * side[:, None]
    colours = _mix(colours, np.zeros_like(colours), light)
    if rng.random() < 0.6:
        colours = as_pixels(cv2.GaussianBlur(colours, (0, 0), float(rng.uniform(0.3, 1.1))))
    if rng.random() < 0.6:
        table = _DEVIATES * np.float32(rng.uniform(1, 9))
        shape = (size, size, 3 if rng.random() < 0.5 else 1)
        grain = np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
        grain = np.broadcast_to(table[grain], colours.shape)
        colours = as_pixels(cv2.add(colours, np.ascontiguousarray(grain), dtype=cv2.CV_8U))
    return colours


_DEVIATES = np.array([NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256)], np.float32)
"""256 equally likely values of a normal distribution; drawing one of them is quick."""
