"""The English word for a colour."""

import colorsys
from collections.abc import Sequence

_HUES = (
    (15, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (195, "cyan"),
    (255, "blue"),
    (292, "purple"),
    (345, "pink"),
    (360, "red"),
)


def colour_name(colour: Sequence[float]) -> str:
    """One of the basic words for an RGB colour of 0 … 255."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(c) / 255 for c in colour))
    if value < 0.15:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.85 else "grey"
    name = next(word for limit, word in _HUES if hue * 360 <= limit)
    if name in {"red", "orange"} and value < 0.6 and saturation < 0.85:
        return "brown"
    return name
