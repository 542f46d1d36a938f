"""Small real images and masks for the tests of files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.records import Record, from_mask


@pytest.fixture
def pixels() -> np.ndarray:
    """A photograph-like image of 48 x 64 (H x W)."""
    rows, columns = np.mgrid[:48, :64]
    return np.stack([rows * 5, columns * 4, rows + columns], axis=-1).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    """The same as a JPEG file."""
    path = tmp_path / "photos" / "photo.jpg"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path, quality=90)
    return path


@pytest.fixture
def masks() -> np.ndarray:
    """A large square, a small one on it, and one pixel in the last corner."""
    masks = np.zeros((3, 48, 64), dtype=bool)
    masks[0, 4:40, 6:50] = True
    masks[1, 10:20, 30:45] = True
    masks[2, 47, 63] = True
    return masks


@pytest.fixture
def records(masks: np.ndarray) -> list[Record]:
    """The masks as records with scores, points and a key of our own."""
    return [
        from_mask(
            mask,
            17 + number,
            predicted_iou=0.9 - number / 10,
            stability_score=0.95,
            point_coords=[[30.5, 12.0]],
            samkit={"stage": number},
        )
        for number, mask in enumerate(masks)
    ]
