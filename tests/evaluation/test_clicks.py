"""Clicks, boxes and IoU on hand-made masks."""

import numpy as np
import pytest
import scipy.ndimage

from samkit.evaluation.clicks import (
    box_of,
    farthest_point,
    iou,
    jittered_box,
    next_click,
    random_point,
)


def test_the_farthest_point_of_a_rectangle_is_its_middle() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:11, 6:17] = True  # 7 high, 11 wide
    x, y, depth = farthest_point(mask)
    assert y == 7 and 9 <= x <= 13 and depth == 4.0


def test_the_image_edge_is_a_border() -> None:
    mask = np.zeros((9, 40), bool)
    mask[:, :9] = True
    assert farthest_point(mask)[:2] == (4, 4)


@pytest.mark.parametrize("seed", range(5))
def test_the_farthest_point_is_that_of_an_exact_distance_transform(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(60, 80))
    mask = scipy.ndimage.gaussian_filter(noise, 3) > 0
    x, y, depth = farthest_point(mask)
    exact = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert depth == pytest.approx(exact.max(), abs=1e-4)
    assert exact[y, x] == pytest.approx(exact.max(), abs=1e-4)


def test_the_next_click_is_in_the_larger_error_with_its_label() -> None:
    truth = np.zeros((40, 40), bool)
    truth[5:35, 5:20] = True
    predicted = truth.copy()
    predicted[5:10, 5:20] = False  # missed, 5 high
    predicted[20:32, 22:34] = True  # exceeded, 12 wide
    x, y, label = next_click(predicted, truth)
    assert label == 0 and 27 <= x <= 28 and 25 <= y <= 26
    assert next_click(np.zeros_like(truth), truth)[2] == 1


def test_a_perfect_prediction_is_clicked_at_its_middle() -> None:
    truth = np.zeros((11, 11), bool)
    truth[2:9, 2:9] = True
    assert next_click(truth, truth) == (5, 5, 1)


def test_a_random_point_is_anywhere_in_the_mask() -> None:
    mask = np.zeros((6, 7), bool)
    mask[1, 2] = mask[4, 5] = mask[5, 0] = True
    generator = np.random.default_rng(0)
    assert {random_point(mask, generator) for _ in range(50)} == {(2, 1), (5, 4), (0, 5)}


def test_the_box_is_that_of_the_first_and_last_pixels() -> None:
    mask = np.zeros((100, 100), bool)
    mask[40:60, 30:70] = True
    assert box_of(mask) == (30, 40, 69, 59)


def test_noise_of_a_box_is_a_tenth_of_its_side_and_at_most_twenty_pixels() -> None:
    mask = np.zeros((900, 900), bool)
    mask[300:600, 400:450] = True  # 300 high, 50 wide
    generator = np.random.default_rng(0)
    moved = np.array([jittered_box(mask, generator) for _ in range(2000)]) - box_of(mask)
    assert moved[:, [0, 2]].std() == pytest.approx(5, rel=0.05)
    assert np.abs(moved[:, [1, 3]]).max() == pytest.approx(20)
    assert np.mean(np.abs(moved[:, 1]) < 19.99) == pytest.approx(0.495, abs=0.04)  # 20 of sd 30


def test_a_noisy_box_stays_in_the_image_and_is_never_empty() -> None:
    mask = np.zeros((12, 30), bool)
    mask[:3, :] = True
    generator = np.random.default_rng(1)
    for x0, y0, x1, y1 in (jittered_box(mask, generator) for _ in range(200)):
        assert 0 <= x0 < x1 <= 29 and 0 <= y0 < y1 <= 11


def test_iou_of_hand_made_masks() -> None:
    a = np.zeros((4, 4), bool)
    b = a.copy()
    assert iou(a, b) == 0.0
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(4 / 12)
