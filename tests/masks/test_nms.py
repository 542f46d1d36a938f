import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from samkit.masks.boxes import box_iou
from samkit.masks.nms import batched_nms, nms


def seeded(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The recipe of `nms_note` in helpers.json."""
    r = np.random.Generator(np.random.PCG64(seed)).random((n, 5))
    xy, wh = np.floor(r[:, :2] * 100), np.floor(r[:, 2:4] * 60) + 1
    boxes = torch.from_numpy(np.concatenate([xy, xy + wh], axis=1).astype(np.float32))
    return boxes, torch.from_numpy(np.floor(r[:, 4] * 50).astype(np.float32)) / 50


def by_the_book(boxes, scores, threshold, groups):
    iou = box_iou(boxes, boxes).double()
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i].item()):
        if all(iou[i, j] <= threshold or groups[i] != groups[j] for j in kept):
            kept.append(i)
    return kept


def test_official_choices(helpers):
    for case in helpers["nms"]:
        boxes, scores = seeded(case["seed"], case["n"])
        found = nms(boxes, scores, case["iou_threshold"])
        assert found.dtype == torch.int64
        assert found.tolist() == case["keep"]
        one = batched_nms(boxes, scores, case["iou_threshold"], torch.zeros(case["n"]))
        assert one.tolist() == case["keep"]


@given(st.integers(0, 10**6), st.integers(0, 40), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_both_forms_do_what_the_book_says(seed, n, threshold):
    boxes, scores = seeded(seed, n)
    groups = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, n))
    same = torch.zeros(n, dtype=torch.int64)
    assert nms(boxes, scores, threshold).tolist() == by_the_book(boxes, scores, threshold, same)
    expect = by_the_book(boxes, scores, threshold, groups)
    assert batched_nms(boxes, scores, threshold, groups).tolist() == expect


def test_an_iou_equal_to_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49999999).tolist() == [0]


def test_a_threshold_between_two_float32_numbers_is_not_rounded():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8.8]])  # IoU = float32(0.88)
    iou = float(box_iou(boxes[:1], boxes[1:]))
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, iou).tolist() == [0, 1]
    assert nms(boxes, scores, iou - 1e-12).tolist() == [0]
    assert nms(boxes, scores, iou + 1e-12).tolist() == [0, 1]


def test_ties_keep_their_order_and_integers_and_points_work():
    boxes = torch.tensor([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 4, 4], [0, 0, 4, 4]])
    assert nms(boxes, torch.tensor([1, 1, 1, 1]), 0.5).tolist() == [0, 1, 2]


def test_nothing_in_nothing_out():
    found = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert found.shape == (0,) and found.dtype == torch.int64


def test_three_thousand_boxes_all_stay_at_a_threshold_of_one():
    rng = np.random.default_rng(0)
    corner = torch.from_numpy(rng.random((3000, 2)).astype(np.float32) * 1000)
    boxes = torch.cat([corner, corner + 30], dim=1)
    scores = torch.from_numpy(rng.random(3000))
    assert nms(boxes, scores, 1.0).tolist() == scores.argsort(descending=True).tolist()
