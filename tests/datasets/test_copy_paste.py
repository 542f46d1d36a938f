"""What is pasted, what it covers, and what stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.datasets.augment import LEAST_PIXELS, LEAST_VISIBLE, Crop
from samkit.datasets.copy_paste import SIDES, copy_paste
from samkit.datasets.records import Record, from_mask

SIZE = 96


def donor(seed: int) -> tuple[np.ndarray, list[Record]]:
    """A blue photograph with one red object of a ragged outline on it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:80, :100]
    angle = np.arctan2(rows - 40, columns - 50)
    radius = rng.uniform(6, 35) * (1 + 0.25 * np.sin(rng.integers(2, 6) * angle))
    mask = np.hypot(rows - 40, columns - 50) < radius
    image = np.full((80, 100, 3), (0, 0, 250), np.uint8)
    image[mask] = (250, 0, 0)
    return image, [from_mask(mask, 1)]


def crop_of(seed: int) -> Crop:
    """A grey-green crop with three masks, perhaps with padding."""
    rng = np.random.default_rng(seed)
    filled = (int(rng.integers(40, SIZE + 1)), int(rng.integers(40, SIZE + 1)))
    image = np.full((SIZE, SIZE, 3), 127, np.uint8)
    image[: filled[0], : filled[1]] = rng.integers(60, 130, (*filled, 3), dtype=np.uint8)
    image[: filled[0], : filled[1], 0] = 20
    masks = np.zeros((3, SIZE, SIZE), bool)
    for mask in masks:
        top, left = (int(rng.integers(side - 12)) for side in filled)
        mask[top : top + int(rng.integers(9, 60)), left : left + int(rng.integers(9, 60))] = True
        mask[filled[0] :] = mask[:, filled[1] :] = False
    return Crop(image, masks, filled)


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_the_pasted_mask_is_exact_and_what_it_covers_belongs_to_nobody_else(seed: int) -> None:
    crop = crop_of(seed)
    before = crop.image.copy(), crop.masks.copy()
    image, annotations = donor(seed)
    result = copy_paste(crop, image, annotations, np.random.default_rng(seed), 10)
    assert (crop.image == before[0]).all() and (crop.masks == before[1]).all()
    if result is crop:
        return
    pasted = result.masks[0]
    assert (result.image[~pasted] == crop.image[~pasted]).all()
    assert (result.image[pasted] != crop.image[pasted]).any(axis=1).all()
    reddish = result.image[..., 0].astype(int) - crop.image[..., 0] > 25
    assert (reddish == pasted).mean() > 0.97
    assert pasted.sum() >= LEAST_PIXELS
    rows, columns = crop.filled or (SIZE, SIZE)
    assert not pasted[rows:].any() and not pasted[:, columns:].any()
    assert not (result.masks[1:] & pasted).any()
    left = crop.masks & ~pasted
    covered = (crop.masks & pasted).any(axis=(1, 2))
    least = np.maximum(LEAST_PIXELS, LEAST_VISIBLE * crop.masks.sum(axis=(1, 2)))
    kept = ~covered | (left.sum(axis=(1, 2)) >= least)
    assert (result.masks[1:] == left[kept]).all()
    box = np.argwhere(pasted)
    assert np.ptp(box, axis=0).max() < SIDES[1] * SIZE + 1


def test_the_middle_of_the_object_is_the_donors_and_only_its_border_is_mixed() -> None:
    image, annotations = donor(1)
    crop = Crop(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((0, SIZE, SIZE), bool))
    seen = 0
    for seed in range(40):
        result = copy_paste(crop, image, annotations, np.random.default_rng(seed), 5)
        if result is crop:
            continue
        (mask,) = result.masks
        near = np.pad(mask, 1)
        inner = np.all(
            [near[r : r + SIZE, c : c + SIZE] for r in range(3) for c in range(3)], axis=0
        )
        away = np.all(
            [np.roll(inner, step, axis) for axis in (0, 1) for step in (-2, 2)], axis=0
        )  # so that scaling has mixed nothing in
        assert (result.image[away & inner] == (250, 0, 0)).all()
        values = result.image[mask & ~inner][:, 0]
        assert (values > 0).all() and values.mean() < 230
        seen += 1
    assert seen > 20


def test_objects_come_in_many_sizes_at_many_places_and_mirrored() -> None:
    half = np.zeros((60, 60), bool)
    half[10:50, 10:50] = True
    half[10:30, 30:50] = False  # an L
    image = np.full((60, 60, 3), 200, np.uint8)
    crop = Crop(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((0, SIZE, SIZE), bool))
    sides, centres, mirrored = [], [], []
    for seed in range(120):
        result = copy_paste(crop, image, [from_mask(half, 1)], np.random.default_rng(seed), 5)
        if result is crop:
            continue
        places = np.argwhere(result.masks[0])
        sides.append(np.ptp(places, axis=0).max() + 1)
        centres.append(places.mean(axis=0))
        if places.min() > 0 and places.max() < SIZE - 1:
            rows = result.masks[0][places[0][0]]  # the upper half shows on which side the arm is
            middle = (places.min(axis=0)[1] + places.max(axis=0)[1]) / 2
            mirrored.append(np.flatnonzero(rows).mean() > middle)
    assert min(sides) < 16 and max(sides) > 45
    assert np.ptp(centres, axis=0).min() > 60
    assert 0.25 < np.mean(mirrored) < 0.75


def test_there_are_never_more_masks_than_asked_for() -> None:
    image, annotations = donor(2)
    for seed in range(10):
        result = copy_paste(crop_of(3), image, annotations, np.random.default_rng(seed), 2)
        assert len(result.masks) <= 3
        if result.masks.shape[0] and not (result.image == crop_of(3).image).all():
            assert len(result.masks) <= 2


@pytest.mark.parametrize("area", ["none", "tiny", "huge"])
def test_without_a_fitting_object_the_crop_stays(area: str) -> None:
    image, _ = donor(0)
    mask = np.zeros(image.shape[:2], bool)
    mask[:2, :2] = True
    if area == "huge":
        mask[:70] = True
    annotations = [] if area == "none" else [from_mask(mask, 1)]
    crop = crop_of(0)
    assert copy_paste(crop, image, annotations, np.random.default_rng(0), 5) is crop


def test_a_seed_gives_the_same() -> None:
    image, annotations = donor(5)
    a, b = (copy_paste(crop_of(1), image, annotations, np.random.default_rng(4), 5) for _ in "ab")
    assert (a.image == b.image).all() and (a.masks == b.masks).all()
