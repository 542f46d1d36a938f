"""Outlines of synthetic objects: closed curves that fit about a circle of radius 1."""

from bisect import bisect
from collections.abc import Callable, Mapping
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]
"""Closed curves, each N x 2 of (x, y); what lies in an odd number of them is inside."""


def draw_shape(rng: np.random.Generator) -> tuple[str, Outline]:
    """The name and the outline of a shape drawn at random."""
    name = draw_one(_CHANCES, rng)
    return name, SHAPES[name](rng)


def draw_one(chances: Mapping[str, float], rng: np.random.Generator) -> str:
    """One of some names, in proportion to their chances; 20 times as fast as Generator.choice."""
    names, sums = list(chances), list(accumulate(chances.values()))
    return names[bisect(sums[:-1], rng.random() * sums[-1])]


def placed(outline: Outline, scale: float, angle: float, x: float, y: float) -> Outline:
    """The outline scaled, turned by an angle in radians and moved to (x, y)."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return [curve @ turn + (x, y) for curve in outline]


def box(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """An upright rectangle."""
    return [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)]


def horizon(width: float, height: float, rng: np.random.Generator) -> Outline:
    """What lies below a smooth line across a picture of width x height, for skies and grounds."""
    x = np.linspace(0, width, 25)
    slope, level = rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.8)
    wave = rng.uniform(0, 0.08) * np.sin(x / width * rng.uniform(2, 14) + rng.uniform(0, 6))
    y = np.clip(level + slope * (x / width - 0.5) + wave, 0, 1) * height
    line = np.stack([x, y], axis=1)
    return [np.concatenate([line, [[width, height], [0, height]]])]


def _around(count: int) -> NDArray[np.float64]:
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def _polar(radius: NDArray[np.float64] | float, angle: NDArray[np.float64]) -> Outline:
    return [np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)]


def _circle(rng: np.random.Generator) -> Outline:
    return _polar(1.0, _around(48))


def _ellipse(rng: np.random.Generator) -> Outline:
    return [_circle(rng)[0] * (1, rng.uniform(0.3, 0.85))]


def _triangle(rng: np.random.Generator) -> Outline:
    return _polar(1.0, _around(3) + rng.uniform(-0.45, 0.45, 3))


def _polygon(rng: np.random.Generator) -> Outline:
    corners = int(rng.integers(4, 9))
    jitter = rng.uniform(-0.35, 0.35, corners) * (2 * np.pi / corners)
    return _polar(rng.uniform(0.7, 1.0, corners), _around(corners) + jitter)


def _rectangle(rng: np.random.Generator) -> Outline:
    """With round corners, which may be hardly or wholly round."""
    width, height = 0.9, 0.9 * rng.uniform(0.15, 1.0)
    radius = height * (0.02 if rng.random() < 0.4 else rng.uniform(0.1, 1.0))
    quarter = np.linspace(0, np.pi / 2, 7)
    corners = []
    for turn, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        middle = np.array([x * (width - radius), y * (height - radius)])
        corners.append(middle + _polar(radius, quarter + turn * np.pi / 2)[0])
    return [np.concatenate(corners)]


def _star(rng: np.random.Generator) -> Outline:
    tips = int(rng.integers(4, 11))
    radius = np.where(np.arange(2 * tips) % 2 == 0, 1.0, rng.uniform(0.35, 0.75))
    return _polar(radius, _around(2 * tips))


def _flower(rng: np.random.Generator) -> Outline:
    angle = _around(96)
    depth = rng.uniform(0.1, 0.4)
    return _polar(1 - depth + depth * np.cos(int(rng.integers(3, 9)) * angle), angle)


def _blob(rng: np.random.Generator) -> Outline:
    angle = _around(72)
    radius = np.ones_like(angle)
    for frequency in range(2, 7):
        height = rng.normal(0, 0.35) / frequency
        radius += height * np.cos(frequency * angle + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.2, None)
    return [_polar(radius / radius.max(), angle)[0] * (1, rng.uniform(0.5, 1.0))]


def _leaf(rng: np.random.Generator) -> Outline:
    x = np.linspace(-1, 1, 24)
    half = rng.uniform(0.2, 0.5) * (1 - x**2) * (1 + rng.uniform(-0.5, 0.5) * x)
    bend = rng.uniform(-0.4, 0.4) * (x**2 - 0.5)
    upper, lower = np.stack([x, bend + half], 1), np.stack([x, bend - half], 1)
    return [np.concatenate([upper, lower[-2:0:-1]])]


def _ring(rng: np.random.Generator) -> Outline:
    outer = _circle(rng)[0] * (1, rng.uniform(0.5, 1.0))
    return [outer, outer * rng.uniform(0.45, 0.85)]


def _crescent(rng: np.random.Generator) -> Outline:
    angle = np.linspace(0.25, 2 * np.pi - 0.25, 40) + np.pi
    outer = _polar(1.0, angle)[0]
    inner = outer[::-1] * (rng.uniform(0.2, 0.75), 1.0)
    depth = outer[0, 0] - inner[-1, 0]
    return [np.concatenate([outer, inner + np.array([depth, 0])])]


def _stroke(rng: np.random.Generator) -> Outline:
    """A thin curve: a smooth line with a width that may taper."""
    t = np.linspace(-1, 1, 40)
    y = rng.uniform(-0.6, 0.6) * t**2 + rng.uniform(-0.3, 0.3) * np.sin(rng.uniform(1, 4) * t)
    line = np.stack([t, y - y.mean()], axis=1)
    slope = np.gradient(line, axis=0)
    normal = np.stack([-slope[:, 1], slope[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    half = rng.uniform(0.03, 0.14) * (1 + rng.uniform(-0.8, 0.8) * t)[:, None]
    return [np.concatenate([line + half * normal, (line - half * normal)[::-1]])]


SHAPES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "circle": _circle,
    "ellipse": _ellipse,
    "triangle": _triangle,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "star": _star,
    "flower": _flower,
    "blob": _blob,
    "leaf": _leaf,
    "ring": _ring,
    "crescent": _crescent,
    "curve": _stroke,
}
_CHANCES = {
    "circle": 0.8,
    "ellipse": 1.2,
    "triangle": 0.6,
    "polygon": 1.3,
    "rectangle": 1.8,
    "star": 0.6,
    "flower": 0.5,
    "blob": 2.0,
    "leaf": 0.8,
    "ring": 0.6,
    "crescent": 0.4,
    "curve": 1.0,
}
