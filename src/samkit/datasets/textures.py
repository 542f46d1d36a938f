"""Textures of synthetic scenes: a pattern of values in 0 … 1, coloured by a table."""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from samkit.datasets.shapes import draw_one

Field = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """A texture from which patches of any size can be drawn.

    pattern: a name of PATTERNS. period: the size of its features in pixels. angle: in radians.
    contrast: how far its values are driven apart. table: 256 x 1 x 3 uint8, the colours of values.
    photo: pixels to cut patches from; then nothing else counts.
    """

    pattern: str
    period: float
    angle: float
    contrast: float
    table: Pixels
    photo: Pixels | None = None

    def fill(self, height: int, width: int, rng: np.random.Generator) -> Pixels:
        """A patch: height x width x 3 uint8."""
        if self.photo is not None:
            return _cut(self.photo, height, width, rng)
        field = PATTERNS[self.pattern](height, width, self.period, self.angle, rng)
        field = 0.5 + (field - 0.5) * np.float32(self.contrast)
        index = np.clip(field * 255, 0, 255).astype(np.uint8)
        return as_pixels(cv2.applyColorMap(index, self.table))


def draw_texture(
    rng: np.random.Generator, size: int, colours: list[Colour], photo: Pixels | None
) -> Texture:
    """A texture drawn at random; size: of the picture, in pixels. colours: of the scene (RGB in
    0 … 1), one of which it is likely to have. photo: cut from it instead of a pattern."""
    base = colours[int(rng.integers(len(colours)))] if rng.random() < 0.7 else draw_colour(rng)
    return Texture(
        pattern=draw_one(_CHANCES, rng),
        period=size * float(np.exp(rng.uniform(np.log(0.008), np.log(0.2)))),
        angle=float(rng.uniform(0, np.pi)),
        contrast=(0.4, 0.7, 1.0, 1.7)[int(rng.integers(4))],
        table=_table(base, rng),
        photo=photo,
    )


def draw_colour(rng: np.random.Generator) -> Colour:
    """An RGB colour in 0 … 1; pale and dark ones are as likely as vivid ones."""
    return colorsys.hsv_to_rgb(rng.random(), rng.beta(1.0, 2.0), rng.uniform(0.1, 1.0))


def noise(height: int, width: int, period: float, rng: np.random.Generator, rough: float) -> Field:
    """Smooth noise of several octaves, in about 0 … 1.

    period: of the coarsest octave, in pixels. rough: the weight of each octave over that of the one
    before it.
    """
    cells = [max(2.0, period)]  # their sides in pixels, by octave
    while len(cells) < 4 and cells[-1] > 3 and rough ** len(cells) > 0.05:
        cells.append(cells[-1] / 2.4)
    total = _octave(height, width, cells[0], 1.0, rng)
    for octave, cell in enumerate(cells[1:], start=1):
        finer = _octave(height, width, cell, rough**octave, rng)
        total = finer + _enlarged(total, finer.shape[0], finer.shape[1])
    spread = np.sqrt(sum(rough ** (2 * octave) for octave in range(len(cells))))
    return 0.5 + _enlarged(total, height, width) * np.float32(1.1 / spread)


def _octave(height: int, width: int, cell: float, weight: float, rng: np.random.Generator) -> Field:
    """One random value for each cell."""
    rows, columns = int(np.ceil(height / cell)) + 1, int(np.ceil(width / cell)) + 1
    return (rng.random((rows, columns), dtype=np.float32) - np.float32(0.5)) * np.float32(weight)


def _enlarged(field: Field, height: int, width: int) -> Field:
    return as_floats(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC))


def as_floats(array: NDArray[Any]) -> Field:
    """The array as float32; what OpenCV returns has no exact type."""
    return array.astype(np.float32, copy=False)


def as_pixels(array: NDArray[Any]) -> Pixels:
    """The array as uint8."""
    return array.astype(np.uint8, copy=False)


def _table(base: Colour, rng: np.random.Generator) -> Pixels:
    """Colours about a base: from darker or lighter ones of a like hue, now and then another one."""
    hue, saturation, value = colorsys.rgb_to_hsv(*base)
    spread = (0.06, 0.15, 0.35)[int(rng.integers(3))]
    darker, lighter = (
        colorsys.hsv_to_rgb(
            (hue + rng.normal(0, 0.03)) % 1,
            min(1.0, max(0.0, saturation + rng.normal(0, 0.12))),
            min(1.0, max(0.02, value + sign * abs(rng.normal(0, spread)))),
        )
        for sign in (-1, 1)
    )
    if rng.random() < 0.2:
        darker = draw_colour(rng)
    stops = np.array([[darker, base, lighter]], np.float32) * 255
    return as_pixels(np.rint(cv2.resize(stops, (256, 1)))).reshape(256, 1, 3)


def _cut(photo: Pixels, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """A part of a photograph, at a scale of about one; mirrored now and then."""
    scale = float(rng.uniform(0.5, 1.5))
    rows = min(photo.shape[0], max(1, round(height * scale)))
    columns = min(photo.shape[1], max(1, round(width * scale)))
    top = int(rng.integers(photo.shape[0] - rows + 1))
    left = int(rng.integers(photo.shape[1] - columns + 1))
    part = photo[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return as_pixels(
        cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_LINEAR)
    )


def _along(height: int, width: int, angle: float) -> Field:
    """How far each pixel lies along a direction, in pixels."""
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return y + np.arange(width, dtype=np.float32) * np.float32(np.cos(angle))


def _clouds(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    return noise(h, w, 2 * period, rng, 0.55)


def _grain(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    return noise(h, w, min(8.0, period), rng, 0.9)


def _plain(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    return 0.5 + (noise(h, w, 4 * period, rng, 0.3) - 0.5) * np.float32(0.25)


def _stripes(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    bend = noise(h, w, 6 * period, rng, 0.3) * np.float32(rng.uniform(0, 5))
    phase = _along(h, w, angle) * np.float32(2 * np.pi / max(4.0, period)) + bend
    return as_floats(0.5 + 0.5 * np.sin(phase))


def _checks(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    turn = np.float32(2 * np.pi / max(6.0, period))
    across = np.sin(_along(h, w, angle) * turn) * np.sin(_along(h, w, angle + np.pi / 2) * turn)
    return as_floats(np.clip(0.5 + 2 * across, 0, 1))


def _gradient(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    along = _along(h, w, angle)
    low, high = float(along.min()), float(along.max())
    return (along - np.float32(low)) / np.float32(max(1.0, high - low))


def _marble(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    veins = np.sin(noise(h, w, 3 * period, rng, 0.6) * np.float32(rng.uniform(10, 25)))
    return 1 - np.abs(veins)


def _speckle(h: int, w: int, period: float, angle: float, rng: np.random.Generator) -> Field:
    spots = noise(h, w, min(10.0, 1 + period / 2), rng, 0.2)
    return np.clip((spots - np.float32(rng.uniform(0.55, 0.8))) * 6 + 0.3, 0.3, 1)


PATTERNS: dict[str, Callable[[int, int, float, float, np.random.Generator], Field]] = {
    "clouds": _clouds,
    "grain": _grain,
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "gradient": _gradient,
    "marble": _marble,
    "speckle": _speckle,
}
_CHANCES = {
    "clouds": 3.0,
    "grain": 2.0,
    "plain": 3.0,
    "stripes": 1.2,
    "checks": 0.5,
    "gradient": 1.5,
    "marble": 0.8,
    "speckle": 1.0,
}
