"""The official expectations of the small functions, and the seeded masks they were made from."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def helpers(shared: Path) -> dict:
    return json.loads((shared / "golden" / "helpers.json").read_text())


@pytest.fixture(scope="session")
def seeded_mask():
    """The recipe of `rle_note` in helpers.json."""

    def make(seed: int, shape: list[int], p: float, smooth: int = 0) -> np.ndarray:
        mask = np.random.Generator(np.random.PCG64(seed)).random(shape) < p
        for _ in range(smooth):
            shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
            mask = sum(np.roll(mask, s, (0, 1)).astype(int) for s in shifts) >= 5
        return mask

    return make
