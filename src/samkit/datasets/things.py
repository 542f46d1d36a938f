"""What a synthetic scene is made of: objects with parts and sub-parts, and where they lie."""

from dataclasses import dataclass

import numpy as np

from samkit.datasets.shapes import Outline
from samkit.datasets.textures import Colour, Pixels, Texture, draw_texture


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


@dataclass(frozen=True)
class Palette:
    """Where the textures of one scene come from. size: of the picture, in pixels."""

    size: int
    colours: list[Colour]
    photos: list[Pixels]

    def texture(self, rng: np.random.Generator) -> Texture:
        """One that is drawn at random, rather from a photograph where there are some."""
        photo = None
        if self.photos and rng.random() < 0.7:
            photo = self.photos[int(rng.integers(len(self.photos)))]
        return draw_texture(rng, self.size, self.colours, photo)
