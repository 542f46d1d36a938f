"""Masks laid over each other in one picture of numbers, where each pixel belongs to one mask.

The rule: masks are laid down from the largest to the smallest, so a smaller one lies on top of a
larger one; of two equally large ones, the later lies on top.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.records import Record
from samkit.masks import rle


def areas_of(records: Sequence[Record]) -> list[int]:
    """Pixels of each record's mask, counted."""
    return [rle.area(record["segmentation"]) for record in records]


def layered(records: Sequence[Record], size: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W) int32 of masks on an image of size (H, W): 0 is no mask, k the k-th record from 1."""
    areas = areas_of(records)
    numbers = np.zeros(size, dtype=np.int32)
    for place in sorted(range(len(records)), key=lambda k: -areas[k]):
        numbers[rle.decode(records[place]["segmentation"])] = place + 1
    return numbers
