import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samkit.pictures.colours import PALETTE_SIZE, assign_colours, oklab, palette


def distances(colours):
    lab = oklab(colours)
    return np.linalg.norm(lab[:, None] - lab[None], axis=-1)


def test_oklab_knows_white_and_the_published_values_of_red():
    assert oklab(np.array([255, 255, 255])) == pytest.approx([1, 0, 0], abs=1e-3)
    assert oklab(np.array([255, 0, 0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def test_the_palettes_colours_differ_and_are_neither_dark_nor_gray():
    apart = distances(palette()) + np.eye(PALETTE_SIZE)
    assert apart.min() > 0.08
    assert apart[:6, :6].min() > 0.18
    lab = oklab(palette())
    assert lab[:, 0].min() > 0.6
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 0.1


@given(st.integers(0, 60), st.data())
def test_neighbours_never_share_a_colour_while_they_are_fewer_than_the_palette(count, data):
    index = st.integers(0, max(count - 1, 0))
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=40 if count else 0))
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    colours = assign_colours(count, pairs)
    assert colours.shape == (count, 3)
    degree = np.bincount(pairs.reshape(-1), minlength=count)
    for first, second in pairs:
        if first != second and max(degree[first], degree[second]) < PALETTE_SIZE:
            assert (colours[first] != colours[second]).any()
    assert (colours == assign_colours(count, pairs[::-1])).all()


def test_a_chain_of_masks_gets_colours_that_are_easy_to_tell_apart():
    pairs = np.stack([np.arange(99), np.arange(1, 100)], axis=1)
    colours = assign_colours(100, pairs)
    lab = oklab(colours)
    assert np.linalg.norm(lab[1:] - lab[:-1], axis=1).min() > 0.15
    assert len(np.unique(colours, axis=0)) >= 12
