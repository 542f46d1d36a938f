"""Colours that people tell apart, and which mask gets which.

Distances are Euclidean in OKLab (B. Ottosson, "A perceptual color space for image processing",
2020), where equal steps look about equally large.
"""

import functools

import numpy as np
from numpy.typing import NDArray

_TO_LMS = np.array(
    [
        [0.8189330101, 0.3618667424, -0.1288597137],
        [0.0329845436, 0.9293118715, 0.0361456387],
        [0.0482003018, 0.2643662691, 0.6338517070],
    ]
)  # from CIE XYZ (D65)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_RGB_TO_XYZ = np.array(
    [
        [0.4123907993, 0.3575843394, 0.1804807884],
        [0.2126390059, 0.7151686788, 0.0721923154],
        [0.0193308187, 0.1191947798, 0.9505321522],
    ]
)
_RGB_TO_LMS = _TO_LMS @ _RGB_TO_XYZ
_LIGHTNESS = (0.65, 0.74, 0.83, 0.90)
_CHROMA = (0.13, 0.17, 0.21)
_HUES = 36
PALETTE_SIZE = 24


def oklab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(..., 3) sRGB in 0..255 to (..., 3) OKLab: lightness in [0, 1], then two colour axes."""
    value = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _RGB_TO_LMS.T) @ _TO_LAB.T
    return lab


@functools.cache
def _palette() -> NDArray[np.uint8]:
    candidates = _vivid_colours()
    lab = oklab(candidates)
    chosen = [int(np.argmax(lab[:, 1] ** 2 + lab[:, 2] ** 2))]
    distance = np.full(len(candidates), np.inf)
    while len(chosen) < PALETTE_SIZE:  # each next colour is the one farthest from all before
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    colours = candidates[chosen]
    colours.setflags(write=False)
    return colours


def palette() -> NDArray[np.uint8]:
    """The (24, 3) uint8 RGB colours for masks, vivid and of middle to high lightness.

    Any first k of them lie far apart, so few masks get the most different colours.
    """
    return _palette()


def assign_colours(count: int, pairs: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Give each of `count` masks a colour that differs from those of its neighbours.

    pairs: (P, 2) indices of masks that touch; in any order, repeats allowed.
    Returns (count, 3) uint8 RGB. In order of index, each mask takes the colour of the palette
    farthest from its neighbours' colours, among those the least used so far; the same input gives
    the same colours.
    """
    colours, lab = palette(), oklab(palette())
    far = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for first, second in np.unique(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=0):
        if first != second:
            neighbours[first].add(int(second))
            neighbours[second].add(int(first))
    chosen = np.zeros(count, dtype=np.int64)
    used = np.zeros(len(colours))
    for index in range(count):
        near = [chosen[other] for other in neighbours[index] if other < index]
        if not near:
            pick = int(used.argmin())
        else:  # an unused colour is worth a small step of distance, a clash is worth everything
            gap = np.minimum(far[:, near].min(axis=1), 0.3)
            pick = int((gap - 0.02 * (used - used.min())).argmax())
        chosen[index] = pick
        used[pick] += 1
    return colours[chosen]


def _vivid_colours() -> NDArray[np.uint8]:
    """Candidates on rings of OKLab that sRGB can show."""
    angle = np.arange(_HUES) * (2 * np.pi / _HUES)
    lightness, chroma, hue = np.meshgrid(_LIGHTNESS, _CHROMA, angle, indexing="ij")
    murky = (lightness < 0.8) & (hue > np.radians(75)) & (hue < np.radians(130))  # olive, mud
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).reshape(-1, 3)
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_RGB_TO_LMS).T
    inside = ((linear >= 0) & (linear <= 1)).all(axis=1) & ~murky.reshape(-1)
    linear = linear[inside]
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: NDArray[np.uint8] = np.round(value * 255).astype(np.uint8)
    return rgb
