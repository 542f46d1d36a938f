"""Crops keep photograph and masks together."""

import numpy as np
import pytest

from samkit.datasets.augment import MOST_SHARE, random_crop
from samkit.masks import rle


def scene(height: int = 120, width: int = 200) -> tuple[np.ndarray, list[dict]]:
    """Two rectangles, painted where their masks are."""
    image = np.full((height, width, 3), 40, np.uint8)
    masks = np.zeros((2, height, width), bool)
    masks[0, 20:70, 30:90] = True
    masks[1, 60:110, 120:180] = True
    image[masks[0]] = (250, 60, 60)
    image[masks[1]] = (60, 60, 250)
    boxes = [[30, 20, 60, 50], [120, 60, 60, 50]]
    codes = rle.encode(masks)
    return image, [
        {"bbox": box, "area": int(mask.sum()), "segmentation": code}
        for box, mask, code in zip(boxes, masks, codes, strict=True)
    ]


@pytest.mark.parametrize("long_side", [64.0, 128.0, 300.0])
def test_masks_lie_on_their_objects(long_side: float) -> None:
    image, annotations = scene()
    rng = np.random.default_rng(int(long_side))
    seen = 0
    for _ in range(40):
        crop = random_crop(image, annotations, 96, long_side, 5, rng)
        assert crop.image.shape == (96, 96, 3) and crop.masks.shape[1:] == (96, 96)
        colours = crop.image.astype(int)
        spread = colours.max(2) - colours.min(2)
        if spread.max() < 40:  # a grey sample tells nothing
            continue
        for mask in crop.masks:
            inside = mask.copy()
            inside[1:-1, 1:-1] = (
                mask[1:-1, 1:-1]
                & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
            )  # fmt: skip
            assert spread[inside].min() > 40
            seen += 1
    assert seen > 20


def test_a_small_photograph_is_padded_right_and_bottom_even_when_mirrored() -> None:
    image, annotations = scene()
    rng = np.random.default_rng(0)
    for _ in range(10):
        crop = random_crop(image, annotations, 256, 200.0, 5, rng)
        assert (crop.image[120:] == 127).all() and (crop.image[:, 200:] == 127).all()
        assert not crop.masks[:, 120:].any() and not crop.masks[:, :, 200:].any()


def test_masks_over_nine_tenths_of_the_crop_are_left_out() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    mask = np.ones((1, 64, 64), bool)
    mask[0, :2] = False
    annotation = {
        "bbox": [0, 2, 64, 62], "area": int(mask.sum()), "segmentation": rle.encode(mask)[0],
    }  # fmt: skip
    crop = random_crop(image, [annotation], 64, 64.0, 5, np.random.default_rng(0))
    assert mask.mean() > MOST_SHARE and len(crop.masks) == 0


def test_a_seed_gives_the_same_crop() -> None:
    image, annotations = scene()
    a, b = (
        random_crop(image, annotations, 96, 150.0, 5, np.random.default_rng(7)) for _ in range(2)
    )
    assert np.array_equal(a.image, b.image) and np.array_equal(a.masks, b.masks)
