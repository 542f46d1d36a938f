"""The layout of a wall: upright panels and strips, many of them with openings in rows."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from samkit.datasets.shapes import Outline, box, draw_one, placed
from samkit.datasets.things import Palette, Part, Thing

MOST_OPENINGS = 150
_THINNEST = 0.025  # of the picture's side
_UNIT = 0.05  # of the picture's side: what an outline is measured in
_MOST_SPLITS = 5

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 from the picture's middle."""


def draw_wall(palette: Palette, rng: np.random.Generator) -> list[Thing]:
    """Panels that fill the picture, and their openings, which are parts of a panel or lie on it."""
    middle, unit = palette.size / 2, palette.size * _UNIT
    turn = float(rng.normal(0, 0.04)) if rng.random() < 0.5 else 0.0
    half = rng.uniform(0.4, 0.6) / _UNIT
    splits = int(rng.integers(2, _MOST_SPLITS + 1))
    panels: list[Part] = []
    on_top: list[Part] = []
    for x0, y0, x1, y1 in _split((-half, -half, half, half), splits, rng):
        openings: list[Part] = []
        if min(x1 - x0, y1 - y0) > 3 * _THINNEST / _UNIT and rng.random() < 0.8:
            openings = _openings((x0, y0, x1, y1), palette, rng)
        inside = openings if rng.random() < 0.5 else []
        on_top += [] if inside else openings
        panels.append(Part("panel", box(x0, y0, x1, y1), palette.texture(rng), None, (*inside,)))
    parts = panels + on_top[:MOST_OPENINGS]
    return [Thing(part, unit, turn, middle, middle) for part in parts]


def _split(field: Rectangle, times: int, rng: np.random.Generator) -> list[Rectangle]:
    """The field cut in two and each half again, so many times or until it is too thin."""
    x0, y0, x1, y1 = field
    thinnest = _THINNEST / _UNIT
    wide = rng.random() < (x1 - x0) ** 2 / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
    side = (x1 - x0) if wide else (y1 - y0)
    if times == 0 or side < 4 * thinnest or rng.random() < 0.1:
        return [field]
    thin = rng.random() < 0.35
    share = max(thinnest / side, rng.uniform(0.03, 0.15) if thin else rng.uniform(0.25, 0.5))
    share = 1 - share if rng.random() < 0.5 else share
    first, second = (
        ((x0, y0, x0 + share * side, y1), (x0 + share * side, y0, x1, y1))
        if wide
        else ((x0, y0, x1, y0 + share * side), (x0, y0 + share * side, x1, y1))
    )
    return _split(first, times - 1, rng) + _split(second, times - 1, rng)


def _openings(field: Rectangle, palette: Palette, rng: np.random.Generator) -> list[Part]:
    """Copies of one opening in rows and columns."""
    x0, y0, x1, y1 = field
    least = max(_THINNEST / _UNIT, min(x1 - x0, y1 - y0) / 8)
    columns, rows = (
        int(np.clip(side / (least * rng.uniform(1.0, 5.0)), 1, 12)) for side in (x1 - x0, y1 - y0)
    )
    width, height = (x1 - x0) / columns, (y1 - y0) / rows
    draw = _OPENINGS[draw_one(_OPENINGS_CHANCES, rng)]
    opening = draw(width * rng.uniform(0.15, 0.45), height * rng.uniform(0.15, 0.45), palette, rng)
    return [
        _moved(opening, x0 + (column + 0.5) * width, y0 + (row + 0.5) * height)
        for row in range(rows)
        for column in range(columns)
    ]


def _moved(part: Part, x: float, y: float) -> Part:
    parts = tuple(_moved(inner, x, y) for inner in part.parts)
    return replace(part, outline=placed(part.outline, 1.0, 0.0, x, y), parts=parts)


def _window(a: float, b: float, palette: Palette, rng: np.random.Generator) -> Part:
    """2a x 2b: a frame around panes in a grid, or around one."""
    frame, texture = min(a, b) * rng.uniform(0.05, 0.3), palette.texture(rng)
    xs, ys = (np.linspace(-half, half, int(rng.integers(1, 4)) + 1).tolist() for half in (a, b))
    panes = tuple(
        Part("pane", box(x0 + frame, y0 + frame, x1 - frame, y1 - frame), texture)
        for y0, y1 in pairwise(ys)
        for x0, x1 in pairwise(xs)
        if min(x1 - x0, y1 - y0) > 3 * frame
    )
    return Part("window", box(-a, -b, a, b), palette.texture(rng), None, panes)


def _plate(a: float, b: float, palette: Palette, rng: np.random.Generator) -> Part:
    """2a x 2b: plain, or with another lower part."""
    lower: tuple[Part, ...] = ()
    if rng.random() < 0.4:
        lower = (Part("half", box(-a, b * rng.uniform(-0.5, 0.5), a, b), palette.texture(rng)),)
    return Part("plate", box(-a, -b, a, b), palette.texture(rng), None, lower)


def _arch(a: float, b: float, palette: Palette, rng: np.random.Generator) -> Part:
    """2a x 2b with a round top, and perhaps a smaller one in it."""
    outline = _round_top(a, b)
    inner: tuple[Part, ...] = ()
    if rng.random() < 0.6:
        share = rng.uniform(0.5, 0.85)
        inner = (Part("pane", placed(outline, share, 0, 0, b * (1 - share)), palette.texture(rng)),)
    return Part("arch", outline, palette.texture(rng), None, inner)


def _round_top(a: float, b: float) -> Outline:
    angle = np.linspace(np.pi, 2 * np.pi, 17)
    top = np.stack([a * np.cos(angle), min(a, b) * (1 + np.sin(angle)) - b], axis=1)
    return [np.concatenate([top, [[a, b], [-a, b]]])]


_OPENINGS = {"window": _window, "plate": _plate, "arch": _arch}
_OPENINGS_CHANCES = {"window": 0.5, "plate": 0.3, "arch": 0.2}
