"""Kinds of objects in synthetic scenes, with the parts they may have."""

import numpy as np

from samkit.datasets.shapes import Outline, box, draw_one, draw_shape, placed
from samkit.datasets.things import Palette, Part


def draw_kind(palette: Palette, rng: np.random.Generator) -> Part:
    """A kind of object: a shape with a texture, perhaps a hole, perhaps parts."""
    name, outline = draw_shape(rng)
    compact = name not in {"ring", "curve", "crescent"}
    hole = None
    if compact and rng.random() < 0.12:
        hole = placed(draw_shape(rng)[1], rng.uniform(0.25, 0.5), *rng.uniform(-0.2, 0.2, 3))
    parts: tuple[Part, ...] = ()
    if compact and hole is None and rng.random() < 0.65:
        parts = _PARTS[draw_one(_PARTS_CHANCES, rng)](name, outline, palette, rng)
    return Part(name, outline, palette.texture(rng), hole, parts)


def _patches(
    name: str, outline: Outline, palette: Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    return tuple(_patch(palette, 1.0, 0.0, 0.0, rng) for _ in range(int(rng.integers(1, 4))))


def _inner(
    name: str, outline: Outline, palette: Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    """A smaller copy inside, as nuclei and windowpanes lie."""
    x, y = rng.uniform(-0.1, 0.1, 2)
    inner = placed(outline, rng.uniform(0.45, 0.8), 0.0, x, y)
    parts = (_patch(palette, 0.7, x, y, rng),) if rng.random() < 0.6 else ()
    return (Part(name, inner, palette.texture(rng), None, parts),)


def _stripes(
    name: str, outline: Outline, palette: Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    angle, texture = rng.uniform(0, np.pi), palette.texture(rng)
    width = rng.uniform(0.12, 0.35)
    middles = np.arange(int(rng.integers(1, 4))) * width * rng.uniform(2.0, 2.6)
    middles -= middles.mean() + rng.uniform(-0.2, 0.2)
    return tuple(
        Part("stripe", placed(box(-3, m - width / 2, 3, m + width / 2), 1, angle, 0, 0), texture)
        for m in middles
    )


def _halves(
    name: str, outline: Outline, palette: Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    """Two parts that together are the whole."""
    cut, angle = rng.uniform(-0.35, 0.35), rng.uniform(0, 2 * np.pi)
    sides = (box(-3, -3, cut, 3), box(cut, -3, 3, 3))
    return tuple(Part("half", placed(side, 1, angle, 0, 0), palette.texture(rng)) for side in sides)


def _patch(palette: Palette, scale: float, x: float, y: float, rng: np.random.Generator) -> Part:
    """A small shape within `scale` of (x, y), which may have one of its own inside."""
    name, outline = draw_shape(rng)
    radius, angle = scale * rng.uniform(0.25, 0.6), rng.uniform(0, 2 * np.pi)
    x, y = (float(m + rng.uniform(-0.45, 0.45) * scale) for m in (x, y))
    inner: tuple[Part, ...] = ()
    if scale == 1.0 and rng.random() < 0.6:
        sub_name, sub = draw_shape(rng)
        shift = rng.uniform(-0.3, 0.3, 2) * radius
        inside = placed(sub, radius * rng.uniform(0.35, 0.7), angle, x + shift[0], y + shift[1])
        inner = (Part(sub_name, inside, palette.texture(rng)),)
    return Part(name, placed(outline, radius, angle, x, y), palette.texture(rng), None, inner)


_PARTS = {"patches": _patches, "inner": _inner, "stripes": _stripes, "halves": _halves}
_PARTS_CHANCES = {"patches": 0.4, "inner": 0.25, "stripes": 0.2, "halves": 0.15}
