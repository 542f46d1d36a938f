import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samkit.errors import UsageError
from samkit.pictures.overlay import draw_overlay
from samkit.pictures.prompts import Prompts

GRAY = np.full((100, 140, 3), 128, dtype=np.uint8)


def draw(**prompts):
    return draw_overlay(GRAY, [], prompts=Prompts(**prompts)).astype(int)


def test_foreground_is_green_background_is_red_and_both_have_a_white_ring():
    picture = draw(points=[[30, 40], [90, 60]], labels=[1, 0])
    for (x, y), strong in (((30, 40), 1), ((90, 60), 0)):
        around = picture[y - 12 : y + 13, x - 12 : x + 13].reshape(-1, 3)
        saturated = around[around.max(axis=1) - around.min(axis=1) > 80]
        assert len(saturated) > 10
        assert (saturated.argmax(axis=1) == strong).all()
        assert (around.min(axis=1) > 240).sum() > 10


def test_points_without_labels_are_foreground_and_padding_is_not_drawn():
    assert (draw(points=[[30, 40]]) == draw(points=[[30, 40]], labels=[1])).all()
    assert (draw(points=[[30, 40]], labels=[-1]) == 128).all()


def test_a_whole_coordinate_is_the_centre_of_its_pixel():
    part = draw(points=[[30, 40]])[20:61, 10:51]
    assert (part == part[:, ::-1]).all()
    assert (part == part[::-1]).all()


def test_a_box_is_a_frame_on_its_sides_and_its_inside_is_left_alone():
    picture = draw(boxes=[20, 10, 100, 80])
    assert (picture[9:11, 40] > 200).all()
    assert (picture[50, 99:101] > 200).all()
    assert (picture[20:70, 30:90] == 128).all()
    assert (picture[90:, 110:] == 128).all()
    assert (picture == draw(boxes=[[100, 80, 20, 10]])).all()


def test_a_mask_prompt_is_an_outline_in_black_and_white():
    mask = np.zeros((100, 140), bool)
    mask[30:70, 30:90] = True
    picture = draw(mask=mask)
    assert (picture[45:55, 45:75] == 128).all()
    line = picture[30, 35:85]
    assert line.max() > 180
    assert line.min() < 80


@given(
    st.lists(st.tuples(*[st.floats(-500, 500)] * 2), max_size=3),
    st.lists(st.tuples(*[st.floats(-500, 500)] * 4), max_size=3),
)
def test_prompts_anywhere_are_drawn_without_a_fuss(points, boxes):
    assert draw(points=points, boxes=boxes).shape == GRAY.shape


@pytest.mark.parametrize(
    "prompts",
    [
        {"points": [[1, 2, 3]]},
        {"points": [[1, np.nan]]},
        {"points": [["a", "b"]]},
        {"points": [[1, 2]], "labels": [1, 0]},
        {"boxes": [[1, 2]]},
        {"mask": np.zeros((3, 3), bool)},
    ],
)
def test_prompts_of_the_wrong_shape_are_refused(prompts):
    with pytest.raises(UsageError):
        draw(**prompts)
