"""Crops keep photograph and masks together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from samkit.datasets.augment import (
    LEAST_PIXELS,
    LEAST_VISIBLE,
    MOST_SHARE,
    Crop,
    Frame,
    large_scale_jitter,
    random_crop,
)
from samkit.datasets.records import from_mask
from samkit.masks import rle


def scene(height: int = 120, width: int = 200) -> tuple[np.ndarray, list[dict]]:
    """Two rectangles, painted where their masks are."""
    image = np.full((height, width, 3), 40, np.uint8)
    masks: np.ndarray = np.zeros((2, height, width), bool)
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


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(30, 90), st.integers(30, 90), st.floats(20, 300))
def test_cutting_only_where_a_mask_lies_equals_scaling_all_of_it(
    seed: int, height: int, width: int, long_side: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    top, left = int(rng.integers(height - 4)), int(rng.integers(width - 4))
    part = mask[top : top + int(rng.integers(2, 40)), left : left + int(rng.integers(2, 40))]
    part[:] = rng.random(part.shape) < 0.8
    if not mask.any():
        return
    scale, size = long_side / max(height, width), int(rng.integers(16, 80))
    corner = (rng.uniform(0, max(0, side - size / scale)) for side in (width, height))
    frame = Frame.at(*corner, mask.shape, size, scale)
    bbox = from_mask(mask, 1)["bbox"]
    if not frame.shows(bbox):
        return
    box = (frame.x0, frame.y0, frame.x1, frame.y1)
    whole = np.asarray(
        Image.fromarray(mask.astype(np.uint8) * 255).resize(
            (frame.width, frame.height), Image.Resampling.BILINEAR, box=box
        )
    )
    placed = np.zeros((frame.height, frame.width), bool)
    cut, place = frame.cut_mask(mask, bbox)
    placed[place] = cut
    wrong = placed != (whole >= 128)
    assert (np.abs(whole[wrong].astype(int) - 128) <= 2).all()  # Pillow's boxes are float32


def colour_of_masks(crop: Crop) -> list[set[int]]:
    """By mask, where the strongest colours of its inner pixels are: 0 red, 1 green, 2 blue."""
    found = []
    for mask in crop.masks:
        inner = mask.copy()
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            inner &= np.roll(mask, step, axis)
        found.append(set(crop.image[inner].argmax(axis=1).tolist()))
    return found


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("mirror", [False, True])
def test_jittered_turned_and_mirrored_masks_stay_on_their_objects(turn: bool, mirror: bool) -> None:
    image, annotations = scene()
    image[..., 1] = 0
    image[image[..., 0] == 40] = (0, 200, 0)  # what is no object is green
    rng = np.random.default_rng(3)
    sizes = []
    for _ in range(60):
        crop = large_scale_jitter(
            image, annotations, 160, rng, most_masks=5, mirror=mirror, turn=turn
        )
        assert crop.filled is not None
        rows, columns = crop.filled
        assert (crop.image[rows:] == 127).all() and (crop.image[:, columns:] == 127).all()
        assert not crop.masks[:, rows:].any() and not crop.masks[:, :, columns:].any()
        assert (crop.image[rows - 1, columns - 1] != 127).any()
        assert all(colours in ({0}, {2}) for colours in colour_of_masks(crop))
        sizes.append((rows, columns))
    tall = [rows > columns for rows, columns in sizes]
    assert any(tall) is turn and not all(tall)
    assert min(max(size) for size in sizes) < 60 and max(sizes) == (160, 160)


def test_jitter_scales_uniformly_and_crops_anywhere() -> None:
    ramp = np.zeros((100, 100, 3), np.uint8)
    ramp[..., 0] = np.arange(100) * 2
    rng = np.random.default_rng(0)
    crops = [
        large_scale_jitter(ramp, [], 100, rng, most_masks=5, scale=(0.1, 2.0), mirror=False)
        for _ in range(400)
    ]
    padded = [crop.filled[0] for crop in crops if crop.filled != (100, 100)]
    assert len(padded) / 400 == pytest.approx(0.9 / 1.9, abs=0.08)
    assert np.mean(padded) == pytest.approx(55, abs=5)
    starts = [int(crop.image[0, 0, 0]) for crop in crops if crop.filled == (100, 100)]
    assert min(starts) < 10 and max(starts) > 70


def test_masks_that_are_hardly_shown_or_too_small_are_left_out() -> None:
    image, annotations = scene()
    rng = np.random.default_rng(5)
    for _ in range(50):
        crop = large_scale_jitter(image, annotations, 96, rng, most_masks=5, scale=(0.2, 3.0))
        assert (crop.masks.sum(axis=(1, 2)) >= LEAST_PIXELS).all()
    crop = large_scale_jitter(image, annotations, 96, rng, most_masks=1, scale=(1.0, 1.0))
    assert len(crop.masks) == 1
    frame = Frame.at(30 + 60 * 0.7, 0, (120, 200), 200, 1.0)  # shows three tenths of the first
    cut, _ = frame.cut_mask(rle.decode(annotations[0]["segmentation"]), annotations[0]["bbox"])
    assert cut.sum() < LEAST_VISIBLE * annotations[0]["area"]


def test_options_that_are_off_change_nothing_of_what_is_drawn() -> None:
    image, annotations = scene()
    plain, turned = (
        random_crop(image, annotations, 96, 150.0, 5, np.random.default_rng(1), turn=turn)
        for turn in (False, True)
    )
    assert sorted(plain.masks.sum(axis=(1, 2))) == sorted(turned.masks.sum(axis=(1, 2)))
    assert sorted(plain.image.reshape(-1)) == sorted(turned.image.reshape(-1))
