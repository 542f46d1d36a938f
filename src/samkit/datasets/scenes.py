"""What a synthetic scene shows: a layout of things on a background."""

from collections.abc import Callable

import numpy as np

from samkit.datasets.colonies import draw_colony
from samkit.datasets.leaves import draw_leaves
from samkit.datasets.shapes import draw_one
from samkit.datasets.textures import Pixels, draw_colour
from samkit.datasets.things import Palette, Scene, Thing
from samkit.datasets.walls import draw_wall

Layout = Callable[[Palette, np.random.Generator], list[Thing]]

LAYOUTS: dict[str, Layout] = {
    "leaves": draw_leaves,
    "wall": draw_wall,
    "colony": draw_colony,
}
_CHANCES = {"leaves": 0.55, "wall": 0.25, "colony": 0.2}


def draw_scene(size: int, photos: list[Pixels], rng: np.random.Generator) -> Scene:
    """A scene for a picture of size x size pixels.

    photos: pictures from which most textures are cut; procedural ones only, where there are none,
    and in half of the walls and colonies, whose things are often plain.
    """
    layout = draw_one(_CHANCES, rng)
    if layout != "leaves" and rng.random() < 0.5:
        photos = []
    palette = Palette(size, [draw_colour(rng) for _ in range(int(rng.integers(3, 7)))], photos)
    things = LAYOUTS[layout](palette, rng)
    return Scene(palette.texture(rng), things, rng.uniform(0, 2 * np.pi))
