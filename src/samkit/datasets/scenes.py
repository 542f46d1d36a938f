"""What a synthetic scene shows: kinds of objects with parts and sub-parts, and where copies lie."""

from dataclasses import dataclass

import numpy as np

from samkit.datasets.shapes import Outline, box, draw_one, draw_shape, horizon, placed
from samkit.datasets.textures import Colour, Pixels, Texture, draw_colour, draw_texture

MOST_OBJECTS = 45
SMALLEST, LARGEST = 0.03, 0.5
"""Range of an object's radius, as a share of the picture's side."""


@dataclass(frozen=True)
class Part:
    """An object, or a part of one: what its outline has in common with what it is a part of.

    hole: where one looks through it. parts: later ones lie on top.
    """

    name: str
    outline: Outline
    texture: Texture
    hole: Outline | None = None
    parts: tuple["Part", ...] = ()


@dataclass(frozen=True)
class Thing:
    """A copy of an object in the picture; the outline's unit is `radius` pixels there."""

    part: Part
    radius: float
    angle: float
    x: float
    y: float


@dataclass(frozen=True)
class Scene:
    """Things from the bottom to the top on a background. light: the direction it comes from."""

    background: Texture
    things: list[Thing]
    light: float


def draw_scene(size: int, photos: list[Pixels], rng: np.random.Generator) -> Scene:
    """A scene for a picture of size x size pixels.

    Radii follow a power law, as in photographs (dead leaves: Lee, Mumford, Huang, 2001); many
    objects come as several copies, scattered, in clusters or in rows. photos: pictures from which
    most textures are cut; procedural ones only, where there are none.
    """
    palette = _Palette(size, [draw_colour(rng) for _ in range(int(rng.integers(3, 7)))], photos)
    things = []
    for _ in range(int(2.3 * rng.random() ** 2)):
        ground = Part("ground", horizon(size, size, rng), palette.texture(rng))
        things.append((np.inf, Thing(ground, 1.0, 0.0, 0.0, 0.0)))
    exponent, cover = rng.uniform(0.2, 2.0), rng.uniform(0.5, 2.5) * size**2
    while cover > 0 and len(things) < MOST_OBJECTS:
        radius = size * _power_law(exponent, rng)
        copies = _copies(_kind(palette, rng), radius, size, rng)
        for thing in copies:
            cover -= 2 * thing.radius**2
            things.append((thing.radius * rng.lognormal(0, 0.7), thing))
    things.sort(key=lambda pair: -pair[0])  # small ones rather on top, else they are never seen
    ordered = [thing for _, thing in things][:MOST_OBJECTS]
    return Scene(palette.texture(rng), ordered, rng.uniform(0, 2 * np.pi))


@dataclass(frozen=True)
class _Palette:
    """Where the textures of one scene come from."""

    size: int
    colours: list[Colour]
    photos: list[Pixels]

    def texture(self, rng: np.random.Generator) -> Texture:
        photo = None
        if self.photos and rng.random() < 0.7:
            photo = self.photos[int(rng.integers(len(self.photos)))]
        return draw_texture(rng, self.size, self.colours, photo)


def _power_law(exponent: float, rng: np.random.Generator) -> float:
    """A radius of density radius ** -exponent between SMALLEST and LARGEST."""
    power = 1 - exponent
    low, high = SMALLEST**power, LARGEST**power
    return float((low + rng.random() * (high - low)) ** (1 / power))


def _copies(kind: Part, radius: float, size: int, rng: np.random.Generator) -> list[Thing]:
    room = max(1, int(0.2 * (size / radius) ** 2))
    x, y = rng.uniform(0, size, 2)
    angle = rng.uniform(0, 2 * np.pi)
    how = draw_one({"one": 0.4, "scattered": 0.2, "cluster": 0.22, "rows": 0.18}, rng)
    if how == "one":
        return [Thing(kind, radius, angle, x, y)]
    if how == "rows":
        gap = radius * rng.uniform(1.7, 2.8, 2)
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in rng.integers(1, 5, 2))), -1)
        offsets = grid.reshape(-1, 2) * gap + rng.normal(0, 0.04 * radius, (grid.size // 2, 2))
        tilt = rng.uniform(0, np.pi) if rng.random() < 0.5 else 0.0
        cos, sin = np.cos(tilt), np.sin(tilt)
        places = (x, y) + offsets @ np.array([[cos, sin], [-sin, cos]])
        angles = np.full(len(places), tilt if rng.random() < 0.7 else angle)
    else:
        count = int(rng.integers(2, 9))
        places = rng.uniform(0, size, (count, 2))
        if how == "cluster":
            places = rng.normal((x, y), 0.9 * radius * np.sqrt(count), (count, 2))
        angles = rng.uniform(0, 2 * np.pi, count) if rng.random() < 0.7 else np.full(count, angle)
    inside = ((places >= 0) & (places < size)).all(axis=1)
    sizes = radius * rng.uniform(0.8, 1.2, len(places))
    return [
        Thing(kind, float(r), float(a), float(px), float(py))
        for r, a, (px, py), fits in zip(sizes, angles, places, inside, strict=True)
        if fits
    ][:room]


def _kind(palette: _Palette, rng: np.random.Generator) -> Part:
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
    name: str, outline: Outline, palette: _Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    return tuple(_patch(palette, 1.0, 0.0, 0.0, rng) for _ in range(int(rng.integers(1, 4))))


def _inner(
    name: str, outline: Outline, palette: _Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    """A smaller copy inside, as nuclei and windowpanes lie."""
    x, y = rng.uniform(-0.1, 0.1, 2)
    inner = placed(outline, rng.uniform(0.45, 0.8), 0.0, x, y)
    parts = (_patch(palette, 0.7, x, y, rng),) if rng.random() < 0.6 else ()
    return (Part(name, inner, palette.texture(rng), None, parts),)


def _stripes(
    name: str, outline: Outline, palette: _Palette, rng: np.random.Generator
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
    name: str, outline: Outline, palette: _Palette, rng: np.random.Generator
) -> tuple[Part, ...]:
    """Two parts that together are the whole."""
    cut, angle = rng.uniform(-0.35, 0.35), rng.uniform(0, 2 * np.pi)
    sides = (box(-3, -3, cut, 3), box(cut, -3, 3, 3))
    return tuple(Part("half", placed(side, 1, angle, 0, 0), palette.texture(rng)) for side in sides)


def _patch(palette: _Palette, scale: float, x: float, y: float, rng: np.random.Generator) -> Part:
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
