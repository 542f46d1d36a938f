"""Outlines: the COCO API's rasteriser gives back the mask, whatever its shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from samkit.datasets.outlines import outline, outlines

# pycocotools 2.0.11 decodes with an array protocol that numpy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

any_mask = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def rasterised(polygons, size):
    """By pycocotools itself."""
    flat = [polygon.reshape(-1).astype(float).tolist() for polygon in polygons]
    if not flat:
        return np.zeros(size, bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, *size))).astype(bool)


@given(any_mask)
def test_pycocotools_makes_the_same_mask_of_one_outline_with_holes_and_parts(mask):
    line = outline(mask)
    assert len(line) >= 4 * mask.any()
    assert np.array_equal(rasterised([line] if len(line) else [], mask.shape), mask)


@given(any_mask)
def test_and_of_an_outline_for_each_part(mask):
    lines = outlines(mask)
    assert np.array_equal(rasterised(lines, mask.shape), mask)
    total = sum(rasterised([line], mask.shape).sum() for line in lines)
    assert total == mask.sum()  # they do not overlap


@given(any_mask)
def test_what_an_outline_encloses_is_the_area(mask):
    x, y = outline(mask).T.astype(np.int64)
    assert abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) == 2 * mask.sum()


def test_a_rectangle_has_four_corners_and_a_ring_two_more_for_each_way_of_its_bridge(masks):
    assert sorted(outline(masks[0]).tolist()) == [[6, 4], [6, 40], [50, 4], [50, 40]]
    ring = masks[0] & ~masks[1]
    assert len(outline(ring)) == 4 + 4 + 2


def test_a_mask_like_noise_comes_back_too():
    noise = np.random.default_rng(0).random((200, 200)) < 0.1
    assert np.array_equal(rasterised([outline(noise)], noise.shape), noise)
