"""The layout of a colony: many things of one kind side by side, as cells, seeds or fruits lie."""

import numpy as np

from samkit.datasets.shapes import SHAPES, Outline, draw_one, placed
from samkit.datasets.things import Palette, Part, Thing

MOST_MEMBERS = 150
SMALLEST, LARGEST = 0.02, 0.13
"""Range of a member's radius, as a share of the picture's side."""

_SHAPES_CHANCES = {"circle": 0.15, "ellipse": 0.4, "blob": 0.35, "polygon": 0.1}
_OUTLINES = 6  # different ones of a colony's kind


def draw_colony(palette: Palette, rng: np.random.Generator) -> list[Thing]:
    """Members on a crooked lattice with gaps; where it is narrow they touch and overlap."""
    size = palette.size
    radius = size * float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    kind = _kind(palette, rng)
    spread = rng.uniform(0.05, 0.35)
    things = []
    for x, y in _lattice(size, radius * rng.uniform(1.6, 3.2), rng)[:MOST_MEMBERS]:
        member = kind[int(rng.integers(len(kind)))]
        angle = float(rng.uniform(0, 2 * np.pi))
        things.append(Thing(member, radius * float(rng.lognormal(0, spread)), angle, x, y))
    return things


def _kind(palette: Palette, rng: np.random.Generator) -> list[Part]:
    """Members that differ in their outlines alone; half of the kinds have a core."""
    name = draw_one(_SHAPES_CHANCES, rng)
    textures = palette.texture(rng), palette.texture(rng)
    core = rng.uniform(0.3, 0.7) if rng.random() < 0.5 else 0.0
    members = []
    for _ in range(_OUTLINES):
        parts: tuple[Part, ...] = ()
        outline: Outline = SHAPES[name](rng)
        if core:
            inside = placed(SHAPES["ellipse"](rng), core, *rng.uniform(-0.15, 0.15, 3))
            parts = (Part("core", inside, textures[1]),)
        members.append(Part(name, outline, textures[0], None, parts))
    return members


def _lattice(size: int, step: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places about `step` apart, in no order, some of them left out."""
    rows = np.arange(-1, int(size / step / 0.87) + 2)
    columns = np.arange(-1, int(size / step) + 2)
    y, x = np.meshgrid(rows * 0.87, columns, indexing="ij")
    places = np.stack([x + 0.5 * (rows[:, None] % 2), y], axis=-1).reshape(-1, 2) * step
    places += rng.normal(0, rng.uniform(0.05, 0.35) * step, places.shape)
    inside = (places > 0).all(axis=1) & (places < size).all(axis=1)
    places = rng.permutation(places[inside & (rng.random(len(places)) < rng.uniform(0.3, 1.0))])
    return [(float(x), float(y)) for x, y in places]
