import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samkit.masks import rle
from samkit.masks.components import components_of, label_image
from samkit.masks.regions import remove_small_regions

bools = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=16))


def as_officially(mask, area_thresh, mode):
    """The rule of the official package, told with OpenCV."""
    holes = mode == "holes"
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask ^ holes).astype(np.uint8), 8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    small = {i + 1 for i in range(count - 1) if areas[i] < area_thresh}
    if not small:
        return mask, False
    if holes:
        return np.isin(labels, [0, *small]), True
    large = [i for i in range(1, count) if i not in small] or [int(areas.argmax()) + 1]
    return np.isin(labels, large), True


def test_official_results(helpers, seeded_mask):
    for case in helpers["small_regions"]:
        mask = seeded_mask(case["seed"], case["shape"], case["p"], case["smooth"])
        assert mask.sum() == case["in_area"]
        found, changed = remove_small_regions(mask, case["area_thresh"], case["mode"])
        assert changed is case["changed"]
        expect = {"size": case["shape"], "counts": case["counts"]}
        assert rle.to_uncompressed(rle.encode(found[None])[0]) == expect


@settings(max_examples=400)
@given(bools, st.integers(0, 12), st.sampled_from(["holes", "islands"]))
def test_every_small_mask_comes_out_as_with_opencv(mask, area_thresh, mode):
    before = mask.copy()
    found, changed = remove_small_regions(mask, area_thresh, mode)
    expect, expect_changed = as_officially(mask, area_thresh, mode)
    assert changed is expect_changed
    assert found.dtype == bool and (found == expect).all()
    assert (mask == before).all()


@pytest.mark.parametrize("mode", ["holes", "islands"])
@pytest.mark.parametrize("blur", [1, 5, 15])
def test_larger_masks_come_out_as_with_opencv(mode, blur):
    noise = np.random.default_rng(blur).random((211, 307)).astype(np.float32)
    mask = cv2.blur(noise, (blur, blur)) > 0.5
    found, changed = remove_small_regions(mask, 60, mode)
    expect, expect_changed = as_officially(mask, 60, mode)
    assert changed == expect_changed and (found == expect).all()


def test_of_equal_islands_the_one_that_opencv_meets_first_stays():
    mask = np.array([[0, 0, 1, 0, 0], [1, 0, 0, 0, 0]], bool)
    found, changed = remove_small_regions(mask, 5, "islands")
    assert changed and np.argwhere(found).tolist() == [[1, 0]]
    assert (found == as_officially(mask, 5, "islands")[0]).all()


@given(bools, st.integers(1, 12), st.sampled_from(["holes", "islands"]))
def test_a_second_time_changes_nothing(mask, area_thresh, mode):
    once, _ = remove_small_regions(mask, area_thresh, mode)
    assert (remove_small_regions(once, area_thresh, mode)[0] == once).all()


@settings(max_examples=300)
@given(bools, st.sampled_from([4, 8]))
def test_labels_part_the_pixels_as_opencv_does(mask, connectivity):
    labels, count = label_image(mask, connectivity)
    other_count, other = cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)
    assert count == other_count - 1
    assert ((labels > 0) == mask).all()
    pairs = {*zip(labels[mask].tolist(), other[mask].tolist(), strict=True)}
    assert len(pairs) == count  # each label of theirs is one of ours
    firsts = np.unique(labels[mask], return_index=True)[1]
    assert (np.diff(firsts) > 0).all()  # numbered in reading order
    areas = components_of(mask, connectivity).areas
    assert areas.tolist() == np.bincount(labels[mask], minlength=count + 1)[1:].tolist()


def test_a_long_spiral_is_one_component():
    spiral = np.zeros((201, 201), bool)
    y = x = 100
    dy, dx = 0, 1
    for step in range(2, 198, 2):
        for _ in range(2):
            for _ in range(step):
                spiral[y, x] = True
                y, x = y + dy, x + dx
            dy, dx = dx, -dy
    assert label_image(spiral)[1] == 1


@pytest.mark.parametrize("mode", ["holes", "islands"])
def test_views_and_empty_and_full_masks_work(mode):
    for mask in np.zeros((5, 7), bool), np.ones((5, 7), bool), np.zeros((0, 7), bool):
        expect = mask.copy()
        assert (remove_small_regions(mask, 3, mode)[0] == expect).all()
    wide = np.random.default_rng(0).random((40, 60)) < 0.4
    for view in wide.T, wide[::2, 1:-3], wide[:, ::-1]:
        found, _ = remove_small_regions(view, 9, mode)
        assert (found == as_officially(np.ascontiguousarray(view), 9, mode)[0]).all()


def test_two_megapixels_are_quick():
    y, x = np.mgrid[:1200, :1800]
    mask = ((x - 900) / 600) ** 2 + ((y - 600) / 500) ** 2 < 1 + 0.2 * np.sin(x / 9)
    mask[300:310, 900:905] = False
    start = time.process_time()
    found, changed = remove_small_regions(mask, 100, "holes")
    assert time.process_time() - start < 0.3  # about 0.005 s
    assert changed and found.sum() == mask.sum() + 50
