import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samkit.masks import boxes as bx

corners = arrays(np.int64, (7, 4), elements=st.integers(0, 50)).map(torch.from_numpy)


def test_official_boxes_of_masks(helpers, seeded_mask):
    plain, batch, single, empty = helpers["mask_to_box"]
    for true, expect in zip(plain["true"], plain["expect"], strict=True):
        mask = torch.zeros(plain["shape"], dtype=torch.bool)
        for y, x in [] if true == "all" else true:
            mask[y, x] = True
        if true == "all":
            mask[:] = True
        assert bx.mask_to_box(mask).tolist() == expect
    masks = seeded_mask(batch["seed"], batch["shape"], batch["p"])
    masks[0, 1] = False
    assert bx.mask_to_box(torch.from_numpy(masks)).tolist() == batch["expect"]
    mask = seeded_mask(single["seed"], single["shape"], single["p"])
    assert bx.mask_to_box(torch.from_numpy(mask)).tolist() == single["expect"]
    none = torch.zeros(empty["shape"], dtype=torch.bool)
    assert list(bx.mask_to_box(none).shape) == empty["expect_shape"]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=4, max_side=9)))
def test_a_box_holds_the_first_and_last_true_pixels(masks):
    found = bx.mask_to_box(torch.from_numpy(masks)).numpy().reshape(-1, 4)
    for mask, box in zip(masks.reshape(-1, *masks.shape[-2:]), found, strict=True):
        y, x = np.nonzero(mask)
        expect = [x.min(), y.min(), x.max(), y.max()] if len(x) else [0, 0, 0, 0]
        assert box.tolist() == expect


def test_views_that_are_not_contiguous_have_boxes_too():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1, 5] = True
    assert bx.mask_to_box(mask.t()).tolist() == [1, 5, 1, 5]


def test_official_crop_edges(helpers):
    for case in helpers["near_crop_edge"]:
        boxes = torch.tensor(case["boxes"])
        found = bx.near_crop_edge(boxes, case["crop_box"], case["orig_box"], case["atol"])
        assert found.tolist() == case["expect"]


def test_official_uncropping(helpers):
    case = helpers["uncrop"]
    boxes = torch.tensor(case["boxes"])
    assert bx.uncrop_boxes(boxes, case["crop_box"]).tolist() == case["expect"]
    assert bx.xyxy_to_xywh(boxes).tolist() == case["xywh"]
    points = bx.uncrop_points(boxes[:, :2], case["crop_box"])
    assert points.tolist() == [box[:2] for box in case["expect"]]


def test_masks_of_a_crop_go_to_their_place():
    masks = torch.ones(2, 3, 4, dtype=torch.bool)
    full = bx.uncrop_masks(masks, [5, 6, 9, 9], 10, 12)
    assert full.shape == (2, 10, 12) and full.dtype == torch.bool
    assert full.sum() == masks.sum() and full[:, 6:9, 5:9].all()
    assert bx.uncrop_masks(masks, [0, 0, 4, 3], 3, 4) is masks


@given(corners)
def test_widths_and_corners_are_two_ways_to_say_one_thing(boxes):
    assert bx.xywh_to_xyxy(bx.xyxy_to_xywh(boxes)).equal(boxes)


@given(corners, corners)
def test_iou_equals_that_of_drawn_boxes(boxes, others):
    boxes[:, 2:] += boxes[:, :2]
    others[:, 2:] += others[:, :2]
    found = bx.box_iou(boxes, others)
    assert found.shape == (7, 7) and found.dtype == torch.float32
    canvas = torch.zeros(2, 100, 100, dtype=torch.bool)
    for i, a in enumerate(boxes[:3].tolist()):
        for j, b in enumerate(others[:3].tolist()):
            canvas[:] = False
            canvas[0, a[1] : a[3], a[0] : a[2]] = True
            canvas[1, b[1] : b[3], b[0] : b[2]] = True
            union = canvas.any(0).sum()
            expect = canvas.all(0).sum() / union if union else torch.tensor(0.0)
            torch.testing.assert_close(found[i, j], expect.float())
