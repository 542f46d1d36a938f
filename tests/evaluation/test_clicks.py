"""Clicks and rules on hand-made masks."""

import numpy as np
import pytest

from samkit.evaluation import rules
from samkit.evaluation.clicks import farthest_point, iou, next_click


def test_the_farthest_point_of_a_rectangle_is_its_middle() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:11, 6:17] = True  # 7 high, 11 wide
    x, y, depth = farthest_point(mask)
    assert y == 7 and 9 <= x <= 13 and depth == 4.0


def test_the_image_edge_is_a_border() -> None:
    mask = np.zeros((9, 40), bool)
    mask[:, :9] = True
    assert farthest_point(mask)[:2] == (4, 4)


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


def test_iou_of_hand_made_masks() -> None:
    a = np.zeros((4, 4), bool)
    b = a.copy()
    assert iou(a, b) == 0.0
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(4 / 12)


def test_rules_have_the_areas_of_their_shapes() -> None:
    assert rules.disc((200, 100), 50, 100, 0.1).sum() == pytest.approx(np.pi * 400, rel=0.02)
    assert rules.rectangle((50, 60), (10, 5, 30, 45)).sum() == 20 * 40
    ellipse = rules.ellipse((100, 100), (10, 20, 70, 60))
    assert ellipse.sum() == pytest.approx(np.pi * 30 * 20, rel=0.02)


def test_grabcut_finds_a_bright_square() -> None:
    image = np.full((240, 240, 3), 30, np.uint8)
    truth = np.zeros((240, 240), bool)
    truth[60:180, 75:165] = True
    image[truth] = (220, 180, 40)
    noise = np.random.default_rng(0).integers(-8, 8, image.shape)
    image = np.clip(image + noise, 0, 255).astype(np.uint8)
    assert iou(rules.grabcut_box(image, (45, 30, 195, 210)), truth) > 0.95
    assert iou(rules.grabcut_click(image, 120, 120), truth) > 0.95
