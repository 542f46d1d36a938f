"""Where automatic mask generation looks: grids of points, overlapping crops (SAM, appendix B)."""

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from samkit.errors import UsageError

OVERLAP_RATIO = 512 / 1500
"""Overlap of the first layer's crops as a part of the image's shorter side (official default)."""


def point_grid(points_per_side: int) -> NDArray[np.float64]:
    """A regular grid of points, each in the middle of its cell.

    Returns (points_per_side², 2) (x, y) in [0, 1], row by row. Raises UsageError for none.
    """
    if points_per_side < 1:
        raise UsageError(
            f"A grid of {points_per_side} points a side holds no point; give at least 1, "
            "or scale it down less for the crops."
        )
    margin = 1 / (2 * points_per_side)
    steps = np.linspace(margin, 1 - margin, points_per_side)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def point_grids_all_layers(
    points_per_side: int, n_layers: int, scale_per_layer: int
) -> list[NDArray[np.float64]]:
    """The grids of the whole image and of the crops of layers 1 … n_layers.

    Layer i has points_per_side / scale_per_layerⁱ points a side, rounded down.
    """
    return [point_grid(int(points_per_side / scale_per_layer**i)) for i in range(n_layers + 1)]


def crop_boxes(
    size: tuple[int, int], n_layers: int, overlap_ratio: float = OVERLAP_RATIO
) -> tuple[list[list[int]], list[int]]:
    """Crops that cover an image in layers; layer i has 2ⁱ of them a side, layer 0 is the image.

    size: (H, W) of the image.
    overlap_ratio: overlap of the crops of layer 1 as a part of the shorter side; it halves with
        every further layer, as the crops do.
    Returns XYXY boxes in pixels, columns of crops from left to right, and the layer of each.
    """
    height, width = size
    boxes, layers = [[0, 0, width, height]], [0]
    for layer in range(1, n_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width = _crop_length(width, per_side, overlap)
        crop_height = _crop_length(height, per_side, overlap)
        for i, j in product(range(per_side), range(per_side)):
            left, top = (crop_width - overlap) * i, (crop_height - overlap) * j
            right, bottom = min(left + crop_width, width), min(top + crop_height, height)
            boxes.append([left, top, right, bottom])
            layers.append(layer)
    return boxes, layers


def _crop_length(length: int, count: int, overlap: int) -> int:
    """Length of `count` equal crops that cover `length` with this overlap between neighbours."""
    return math.ceil((overlap * (count - 1) + length) / count)
