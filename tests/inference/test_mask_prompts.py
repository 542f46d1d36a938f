import dataclasses

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.checkpoints import load
from samkit.errors import UsageError
from samkit.inference import AutomaticMaskSettings, SamAutomaticMaskGenerator
from samkit.inference.mask_prompts import mask_prompt
from samkit.inference.predictor import SamPredictor
from samkit.modeling import VARIANTS, Sam


@pytest.fixture(scope="module")
def sam():
    sam = Sam(VARIANTS["default"]).eval()
    sam.set_image_size(256)
    return sam


def disc(size, centre, radius):
    y, x = np.mgrid[: size[0], : size[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def enlarged(logits, sam, size):
    h, w = size
    scale = 256 / max(h, w)
    back = sam.postprocess_masks(
        torch.from_numpy(logits)[None], (round(h * scale), round(w * scale)), size
    )
    return (back[0, 0] > 0).numpy()


@settings(max_examples=20)
@given(st.integers(100, 700), st.integers(100, 700), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_the_logits_give_the_mask_back(sam, height, width, y, x):
    mask = disc((height, width), (y * height, x * width), 0.15 * max(height, width))
    logits = mask_prompt(mask, sam)
    assert logits.shape == (1, 128, 128) and logits.dtype == np.float32
    assert np.abs(logits).max() <= 20.0
    back = enlarged(logits, sam, mask.shape)
    assert (back & mask).sum() / (back | mask).sum() > 0.93


def test_edges_are_soft_and_the_padding_is_sure_background(sam):
    logits = mask_prompt(disc((200, 400), (100, 200), 80), sam)[0]
    assert logits.max() > 19.8 and (logits[64:] == -20).all()
    edge = logits[32]
    steps = np.abs(np.diff(edge))
    assert 10 < steps.max() < 30


def test_an_object_at_the_image_edge_is_not_eaten_by_the_padding(sam):
    logits = mask_prompt(np.ones((200, 400), bool), sam)[0]
    assert (logits[:64] > 19.8).all() and (logits[64:] == -20).all()


def test_thin_things_survive(sam):
    mask = np.zeros((1000, 1000), bool)
    mask[500, 100:900] = True
    logits = mask_prompt(mask, sam)[0]
    assert (logits.max(0)[15:112] > 0).all()


def test_levels_are_those_asked_for_and_leave_the_edge_where_it_is(sam):
    mask = disc((200, 400), (100, 200), 80)
    usual, other = mask_prompt(mask, sam), mask_prompt(mask, sam, (1.0, -8.0))
    assert other.max() == pytest.approx(1, abs=0.01) and other.min() == -8
    np.testing.assert_array_equal(usual > 0, other > 0)


def test_an_empty_mask_is_sure_background(sam):
    assert (mask_prompt(np.zeros((30, 40), bool), sam) == -20).all()


def test_other_types_are_refused(sam):
    with pytest.raises(UsageError, match="uint8"):
        mask_prompt(np.zeros((30, 40), np.uint8), sam)


def test_the_predictor_takes_a_mask_at_the_size_of_the_image_and_its_box_with_it(sam):
    predictor = SamPredictor(sam)
    predictor.set_image(np.zeros((100, 150, 3), np.uint8))
    mask = disc((100, 150), (50, 70), 30)
    box, logits = np.array([40, 20, 100, 80]), mask_prompt(mask, sam)
    ours = predictor.predict(mask_input=mask)[2]
    np.testing.assert_array_equal(ours, predictor.predict(box=box, mask_input=logits)[2])
    point = {"point_coords": [[70, 50]], "point_labels": [1]}
    both = predictor.predict(mask_input=mask, **point)[2]
    np.testing.assert_array_equal(both, predictor.predict(box=box, mask_input=logits, **point)[2])
    other = {"box": np.array([30, 10, 110, 90])}
    own = predictor.predict(mask_input=mask, **other)[2]
    np.testing.assert_array_equal(own, predictor.predict(mask_input=logits, **other)[2])
    corners = {"point_coords": [[30, 10], [110, 90]], "point_labels": [2, 3]}  # a box, too
    own = predictor.predict(mask_input=mask, **corners)[2]
    np.testing.assert_array_equal(own, predictor.predict(mask_input=logits, **corners)[2])
    assert len(predictor.predict(mask_input=mask, multimask_output=None)[0]) == 3  # one prompt
    assert len(predictor.predict(mask_input=mask, box=box, multimask_output=None)[0]) == 1
    masks, _, _ = predictor.predict_many(mask_input=np.stack([mask, ~mask]))
    assert masks.shape == (2, 3, 100, 150)
    empty = predictor.predict(mask_input=np.zeros((100, 150), bool))[2]
    np.testing.assert_array_equal(empty, predictor.predict(mask_input=np.full_like(logits, -20))[2])


def test_the_bundled_model_gives_back_masks_that_it_is_given():
    bundled = load("default", device="cpu")
    predictor = SamPredictor(bundled)
    settings = dataclasses.replace(
        AutomaticMaskSettings.small(),
        points_per_side=6,
        pred_iou_thresh=0.4,
        stability_score_thresh=0.3,
        ask_again=False,  # masks of points, which their boxes alone would not bring
    )
    generator = SamAutomaticMaskGenerator.from_settings(bundled, settings)
    ious = []
    for name in ("coffee", "chelsea", "astronaut"):
        image = getattr(skimage.data, name)()
        predictor.set_image(image)
        for mask in (record["segmentation"] for record in generator.generate(image)):
            (back,), _, _ = predictor.predict(mask_input=mask, multimask_output=False)
            ious.append((back & mask).sum() / (back | mask).sum())
    assert len(ious) >= 6
    assert np.median(ious) >= 0.8 and min(ious) >= 0.5
