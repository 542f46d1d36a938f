"""The layout that dead leaves have: things of all sizes that cover each other."""

import numpy as np

from samkit.datasets.kinds import draw_kind
from samkit.datasets.shapes import draw_one, horizon
from samkit.datasets.things import Palette, Part, Thing

MOST_LEAVES = 45
SMALLEST, LARGEST = 0.03, 0.5
"""Range of an object's radius, as a share of the picture's side."""


def draw_leaves(palette: Palette, rng: np.random.Generator) -> list[Thing]:
    """Things from the bottom to the top.

    Radii follow a power law, as in photographs (dead leaves: Lee, Mumford, Huang, 2001); many
    objects come as several copies, scattered, in clusters or in rows.
    """
    size, things = palette.size, []
    for _ in range(int(2.3 * rng.random() ** 2)):
        ground = Part("ground", horizon(size, size, rng), palette.texture(rng))
        things.append((np.inf, Thing(ground, 1.0, 0.0, 0.0, 0.0)))
    exponent, cover = rng.uniform(0.2, 2.0), rng.uniform(0.5, 2.5) * size**2
    while cover > 0 and len(things) < MOST_LEAVES:
        radius = size * _power_law(exponent, rng)
        for thing in _copies(draw_kind(palette, rng), radius, size, rng):
            cover -= 2 * thing.radius**2
            things.append((thing.radius * rng.lognormal(0, 0.7), thing))
    things.sort(key=lambda pair: -pair[0])  # small ones rather on top, else they are never seen
    return [thing for _, thing in things][:MOST_LEAVES]


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
