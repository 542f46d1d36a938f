import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samkit.inference.transforms import ResizeLongestSide


@pytest.fixture(scope="module")
def helpers(shared):
    return json.loads((shared / "golden" / "helpers.json").read_text())


def test_target_sizes_are_the_official_ones(helpers):
    for case in helpers["target_size"]:
        size = ResizeLongestSide.get_preprocess_shape(*case["size"], case["long_side"])
        official = [max(1, side) for side in case["expect"]]  # officially a thin image vanishes
        assert list(size) == official


def test_points_scale_as_officially_in_float64(helpers):
    for case in helpers["apply_coords"]:
        coords = ResizeLongestSide(case["long_side"]).apply_coords(
            np.array(case["coords"]), tuple(case["size"])
        )
        assert coords.dtype == np.float64
        np.testing.assert_array_equal(coords, case["expect"])


def test_boxes_scale_as_officially(helpers):
    for case in helpers["apply_boxes"]:
        transform = ResizeLongestSide(case["long_side"])
        boxes = transform.apply_boxes(np.array(case["boxes"]), tuple(case["size"]))
        np.testing.assert_array_equal(boxes, case["expect"])
        on_torch = transform.apply_boxes_torch(torch.tensor(case["boxes"]), tuple(case["size"]))
        np.testing.assert_allclose(on_torch, case["expect"], rtol=1e-6)


@pytest.mark.parametrize("name", ["vit_b", "tiny", "trained"])
def test_resized_images_are_the_official_bytes(golden, name):
    for image in golden.images:
        expected = golden.json(name)["images"][image]
        resized = ResizeLongestSide({"vit_b": 1024, "tiny": 256, "trained": 128}[name]).apply_image(
            golden.image(image)
        )
        assert list(resized.shape[:2]) == expected["input_size"]
        assert hashlib.sha256(resized.tobytes()).hexdigest() == expected["resized_sha256"]


def test_torch_images_resize_their_height_and_width_not_other_axes():
    image = torch.zeros(1, 3, 60, 200)
    image[..., 30:, :] = 255
    resized = ResizeLongestSide(100).apply_image_torch(image)
    assert resized.shape == (1, 3, 30, 100)
    by_pillow = ResizeLongestSide(100).apply_image(
        image[0].permute(1, 2, 0).to(torch.uint8).numpy()
    )
    assert np.abs(resized[0].permute(1, 2, 0).numpy() - by_pillow).max() <= 1


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([128, 512, 1024]))
def test_the_longer_side_becomes_the_target_and_no_side_vanishes(height, width, target):
    size = ResizeLongestSide.get_preprocess_shape(height, width, target)
    assert max(size) == target and min(size) >= 1
