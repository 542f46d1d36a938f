import numpy as np
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from samkit.masks.stability import stability_score, true_pixels


def test_official_scores(helpers):
    for case in helpers["stability"]:
        random = np.random.Generator(np.random.PCG64(case["seed"])).random((6, 50, 61))
        logits = random * 8 - 4 + np.arange(-3, 3)[:, None, None] * 1.5
        logits = torch.from_numpy(logits.astype(np.float32))
        found = stability_score(logits, case["threshold"], case["offset"])
        expect = np.nan_to_num(np.array(case["expect"], np.float32))  # NaN officially, 0 with us
        assert found.numpy().tolist() == expect.tolist()
        inner = true_pixels(logits > case["threshold"] + case["offset"])
        assert inner.tolist() == case["intersections"]
        outer = true_pixels(logits > case["threshold"] - case["offset"])
        assert outer.tolist() == case["unions"]


def test_an_empty_mask_is_never_stable_and_a_solid_one_always_is():
    assert stability_score(torch.full((2, 3, 4, 5), -9.0)).eq(0).all()
    assert stability_score(torch.full((2, 3, 4, 5), 9.0)).eq(1).all()


@given(arrays(bool, array_shapes(min_dims=2, max_dims=4, max_side=33)))
def test_areas_count_true_pixels(masks):
    assert (true_pixels(torch.from_numpy(masks)).numpy() == masks.sum((-1, -2))).all()


def test_large_areas_and_views_count_too():
    masks = torch.ones(2, 300, 512, dtype=torch.bool)
    assert true_pixels(masks).tolist() == [300 * 512] * 2
    assert true_pixels(masks[:, ::3, 1:]).tolist() == [100 * 511] * 2
    assert true_pixels(masks[:0]).shape == (0,)
