"""Rules without a model on pictures that they can do."""

import numpy as np
import pytest

from samkit.evaluation import seeded, shapes
from samkit.evaluation.clicks import box_of, farthest_point, iou
from samkit.evaluation.promptable import score_boxes, score_clicks
from samkit.evaluation.regions import region_masks
from samkit.evaluation.rules import QUICK, SLOW


@pytest.fixture(scope="module")
def square() -> tuple[np.ndarray, np.ndarray]:
    """A bright square on a dark ground, a little noise, and its mask."""
    image = np.full((240, 240, 3), 30, np.uint8)
    truth = np.zeros((240, 240), bool)
    truth[60:180, 75:165] = True
    image[truth] = (220, 180, 40)
    noise = np.random.default_rng(0).integers(-8, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), truth


def test_shapes_have_their_areas() -> None:
    assert shapes.disc((200, 100), 50, 100, 0.1).sum() == pytest.approx(np.pi * 400, rel=0.02)
    assert shapes.rectangle((50, 60), (10, 5, 30, 45)).sum() == 20 * 40
    ellipse = shapes.ellipse((100, 100), (10, 20, 70, 60))
    assert ellipse.sum() == pytest.approx(np.pi * 30 * 20, rel=0.02)


@pytest.mark.parametrize("name", ["watershed", "random walker", "grabcut"])
def test_seeds_find_a_bright_square_from_one_click(name: str, square) -> None:
    image, truth = square
    rule = (QUICK | SLOW)[name]
    rule.set_image(image)
    scores = score_clicks(rule, [truth], clicks=2)
    assert scores.values()["c1"][0] > 0.9
    assert scores.values()["c2"][0] > 0.9


def test_grabcut_finds_a_bright_square_in_a_box(square) -> None:
    image, truth = square
    SLOW["grabcut"].set_image(image)
    wide = np.array([[45, 30, 194, 209]])
    assert iou(SLOW["grabcut"].box(wide).masks[0, 0], truth) > 0.95


def test_grabcut_that_cannot_fit_answers_with_what_is_sure() -> None:
    flat = np.full((3, 3, 3), 7, np.uint8)
    found = seeded.grabcut_clicks(flat, np.array([[1.0, 1.0]]), np.array([1]))
    assert found.sum() <= 1


def test_seeds_are_the_border_and_discs_that_never_cover_another_click() -> None:
    points, labels = np.array([[20.0, 20.0], [22.0, 20.0]]), np.array([1, 0])
    seeds = seeded.seeds_of((41, 61), points, labels, 0.1)
    assert (seeds[0] == seeded.OUTSIDE).all() and (seeds[:, -1] == seeded.OUTSIDE).all()
    assert seeds[20, 20] == seeded.INSIDE and seeds[20, 22] == seeded.OUTSIDE
    assert seeds[20, 15] == seeded.INSIDE and seeds[20, 27] == seeded.OUTSIDE
    assert seeds[35, 50] == seeded.UNKNOWN


def test_discs_are_the_single_one_and_the_best_of_three(square) -> None:
    image, truth = square
    QUICK["disc"].set_image(image)
    scores = score_clicks(QUICK["disc"], [truth], QUICK["disc"].most_clicks)
    x, y, _ = farthest_point(truth)
    each = [iou(shapes.disc(truth.shape, x, y, r), truth) for r in shapes.DISCS]
    assert scores.values()["c1"][0] == each[shapes.DISCS.index(shapes.DISC)]
    assert scores.values()["c1_best"][0] == max(each) > each[0]


def test_the_rectangle_of_an_exact_box_is_exact(square) -> None:
    image, truth = square
    for name, expected in (("rectangle", 1.0), ("ellipse", np.pi / 4)):
        QUICK[name].set_image(image)
        values = score_boxes(QUICK[name], [truth], np.random.default_rng(0))
        assert values["box"][0] == pytest.approx(expected, abs=0.02)
        assert 0.5 < values["box_jitter"][0] < 1 and values["box_jitter"] != values["box"]
        assert "box_single" not in values
    assert box_of(truth) == (75, 60, 164, 179)


def test_regions_are_found_once_and_come_largest_first(square) -> None:
    image, truth = square
    masks = region_masks(image)
    assert max(iou(mask, truth) for mask in masks) > 0.9
    areas = [mask.sum() for mask in masks]
    assert areas == sorted(areas, reverse=True)
    assert len({mask.tobytes() for mask in masks}) == len(masks)
