import sys

import numpy as np
import pytest
import torch

from samkit.errors import ImageError, SamkitError, UsageError
from samkit.inference import memory
from samkit.inference import predictor as predicting
from samkit.inference.predictor import SamPredictor
from samkit.modeling import VARIANTS, Sam


def predict_case(predictor, golden, model, case, prompt, multimask):
    """Masks, scores and low-res logits of a golden case, each with a leading batch."""
    transform, size = predictor.transform, predictor.original_size
    if "boxes" in prompt:
        boxes = transform.apply_boxes_torch(torch.tensor(prompt["boxes"]).float(), size)
        answer = predictor.predict_torch(None, None, boxes, multimask_output=multimask)
        return [part.numpy() for part in answer]
    if "batch_point_coords" in prompt:
        coords = transform.apply_coords_torch(torch.tensor(prompt["batch_point_coords"]), size)
        labels = torch.tensor(prompt["batch_point_labels"])
        answer = predictor.predict_torch(coords, labels, multimask_output=multimask)
        return [part.numpy() for part in answer]
    given = {key: np.array(value) for key, value in prompt.items() if key != "mask_input"}
    if prompt.get("mask_input"):
        given["mask_input"] = golden.mask_input(model)
    return [part[None] for part in predictor.predict(**given, multimask_output=multimask)]


GOLDEN = [
    (name, image)
    for name in ("tiny", "tiny_pad", "trained")
    for image in ("astronaut", "coffee", "chelsea", "synthetic")
] + [
    pytest.param("vit_b", image, marks=pytest.mark.slow)
    for image in ("astronaut", "coffee", "chelsea", "synthetic")
]


@pytest.mark.parametrize(("model", "image"), GOLDEN)
def test_every_golden_case_is_answered_as_officially(golden, model, image):
    predictor = SamPredictor(golden.build_model(model))
    predictor.set_image(golden.image(image))
    notes, arrays = golden.json(model), golden.arrays(model)
    stride = notes["low_res_stride"]
    assert list(predictor.input_size) == notes["images"][image]["input_size"]
    for case, entry in notes["images"][image]["cases"].items():
        for kind, multimask in (("multi", True), ("single", False)):
            masks, scores, low_res = predict_case(
                predictor, golden, model, case, entry["prompt"], multimask
            )
            key, expected = f"{image}|{case}|{kind}", entry[kind]
            assert list(masks.shape) == expected["shape"] and masks.dtype == bool
            sampled = low_res[..., ::stride, ::stride]
            np.testing.assert_allclose(sampled, arrays[f"{key}|low"], rtol=0, atol=1e-3)
            np.testing.assert_allclose(scores, arrays[f"{key}|iou"], rtol=0, atol=1e-4)
            moved = np.abs(masks.sum((-1, -2)) - np.array(expected["pixels"]))
            assert (moved <= expected["near"]).all(), (case, kind)


@pytest.fixture
def predictor(golden):
    predictor = SamPredictor(golden.build_model("trained"))
    predictor.set_image(golden.image("coffee"))
    return predictor


@pytest.fixture(scope="module")
def small():
    """The default architecture at random, small: prompt maps and fine features."""
    torch.manual_seed(0)
    sam = Sam(VARIANTS["default"]).eval()
    sam.set_image_size(128)
    return sam


def test_official_attributes(predictor, golden):
    assert predictor.is_image_set and predictor.device == torch.device("cpu")
    assert predictor.original_size == (400, 600) and predictor.input_size == (85, 128)
    assert predictor.features.shape == (1, 128, 8, 8)
    assert predictor.get_image_embedding() is predictor.features
    predictor.reset_image()
    assert not predictor.is_image_set and predictor.features is None


def test_bgr_is_turned_round(predictor, golden):
    other = SamPredictor(predictor.model)
    other.set_image(np.ascontiguousarray(golden.image("coffee")[..., ::-1]), image_format="BGR")
    assert torch.equal(other.features, predictor.features)


def test_set_torch_image_is_set_image_after_the_resize(predictor, golden):
    resized = torch.tensor(golden.resized("trained", "coffee")).permute(2, 0, 1)[None]
    other = SamPredictor(predictor.model)
    other.set_torch_image(resized, (400, 600))
    assert torch.equal(other.features, predictor.features)
    with pytest.raises(UsageError, match="longer side 128"):
        other.set_torch_image(resized[..., :100], (400, 600))


def test_gray_images_are_taken_and_odd_arrays_named(predictor):
    predictor.set_image(np.zeros((40, 30), np.uint8))
    assert predictor.original_size == (40, 30)
    with pytest.raises(ImageError, match=r"\(3, 40, 30\)"):
        predictor.set_image(np.zeros((3, 40, 30), np.uint8))
    with pytest.raises(ImageError, match="int64"):
        predictor.set_image(np.zeros((40, 30, 3), np.int64))


def test_prediction_without_an_image_is_a_sentence_and_a_runtime_error(golden):
    predictor = SamPredictor(golden.build_model("trained"))
    for error in (SamkitError, RuntimeError):
        with pytest.raises(error, match="No image is set"):
            predictor.predict(point_coords=np.array([[1, 2]]), point_labels=np.array([1]))
        with pytest.raises(error, match="No image is set"):
            predictor.get_image_embedding()


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ({"point_coords": [[1, 2]]}, "labels"),
        ({"point_coords": [[1, 2]], "point_labels": [1, 0]}, "BxN"),
        ({"point_coords": [[1, 2]], "point_labels": [7]}, "1 .foreground."),
        ({"point_coords": [[1, np.nan]], "point_labels": [1]}, "finite"),
        ({"point_coords": [[1, 2], [3]], "point_labels": [1, 0]}, "point_coords"),
        ({"box": [1, 2, 3]}, "one box"),
        ({"box": [[1, 2, 3, 4], [1, 2, 3, 4]]}, "predict_many"),
        ({"mask_input": np.zeros((1, 64, 64), np.float32)}, "1x32x32"),
        ({"mask_input": np.zeros((400, 600), np.uint8)}, "bool"),
        ({"mask_input": np.zeros((600, 400), bool)}, "size of the image"),
    ],
)
def test_misuse_is_one_sentence(predictor, prompt, sentence):
    with pytest.raises(UsageError, match=sentence):
        predictor.predict(**prompt)


def test_none_follows_the_paper_one_prompt_three_masks_several_one(predictor):
    point = {"point_coords": np.array([[300, 200]]), "point_labels": np.array([1])}
    box = np.array([100, 100, 400, 300])
    two = {"point_coords": np.array([[300, 200], [100, 100]]), "point_labels": np.array([1, 0])}
    corners = {"point_coords": np.array([[100, 100], [400, 300]]), "point_labels": np.array([2, 3])}
    low = predictor.predict(**point)[2][:1]
    for prompt, count in [
        (point, 3),
        ({"box": box}, 3),
        (corners, 3),
        ({"mask_input": low}, 3),
        (two, 1),
        ({**point, "box": box}, 1),
        ({**point, "mask_input": low}, 1),
        ({**corners, "box": box}, 1),
    ]:
        assert len(predictor.predict(**prompt, multimask_output=None)[0]) == count, prompt
    padded = {"point_coords": np.array([[300, 200], [0, 0]]), "point_labels": np.array([1, -1])}
    assert len(predictor.predict(**padded, multimask_output=None)[0]) == 3


def test_logits_above_zero_are_the_masks(predictor):
    point = {"point_coords": np.array([[300, 200]]), "point_labels": np.array([1])}
    masks, scores, low = predictor.predict(**point)
    logits, _, _ = predictor.predict(**point, return_logits=True)
    assert logits.dtype == np.float32 and scores.dtype == np.float32 and low.dtype == np.float32
    np.testing.assert_array_equal(logits > 0, masks)
    official = predictor.model.postprocess_masks(torch.tensor(low)[None], (85, 128), (400, 600))
    np.testing.assert_allclose(logits, official[0], atol=1e-4)


@pytest.mark.parametrize("which", ["trained", "default"])
def test_many_prompts_in_one_call_are_those_of_single_calls(golden, small, which):
    sam = golden.build_model("trained") if which == "trained" else small
    predictor = SamPredictor(sam)
    predictor.set_image(golden.image("coffee")[::4, ::4])
    boxes = np.array([[10, 10, 60, 50], [50, 20, 140, 90], [0, 0, 149, 99]])
    shared_point = {"point_coords": np.array([[55, 40]]), "point_labels": np.array([1])}
    masks, scores, low = predictor.predict_many(**shared_point, boxes=boxes)
    assert masks.shape == (3, 3, 100, 150)
    for i, box in enumerate(boxes):
        one = predictor.predict(**shared_point, box=box)
        np.testing.assert_allclose(low[i], one[2], atol=1e-4)
        np.testing.assert_allclose(scores[i], one[1], atol=1e-5)
    own = predictor.predict_many(
        point_coords=np.array([[[30, 30]], [[90, 50]], [[5, 5]]]),
        point_labels=np.ones((3, 1)),
        boxes=boxes,
        multimask_output=False,
    )[0]
    assert own.shape == (3, 1, 100, 150)


def test_chunks_make_no_difference_and_a_thousand_prompts_work(predictor):
    generator = torch.Generator().manual_seed(1)
    coords = torch.rand(1000, 1, 2, generator=generator) * 85
    labels = torch.ones(1000, 1)
    masks, scores, low = predictor.predict_torch(coords, labels, multimask_output=False)
    assert masks.shape == (1000, 1, 400, 600)
    scale = np.divide(predictor.original_size, predictor.input_size)[::-1]
    pixels = coords[:250].numpy() * scale  # of the original image
    done = 0
    prompts = pixels, labels[:250].numpy()
    for part in predictor.predict_batches(*prompts, multimask_output=False, chunk=100):
        rows = slice(done, done + len(part.scores))
        assert len(part.masks) <= 100
        np.testing.assert_allclose(part.low_res, low[rows], rtol=0, atol=1e-4)
        np.testing.assert_allclose(part.scores, scores[rows], rtol=1e-5)
        assert (part.masks != masks[rows].numpy()).mean() < 1e-4
        done += len(part.scores)
    assert done == 250


def test_a_result_that_no_memory_holds_is_one_sentence_and_comes_in_batches(predictor, monkeypatch):
    boxes = np.tile([100, 100, 400, 300], (1000, 1))
    sentence = r"no memory for the 0.2 GB of 1000 x 1 masks of 600 x 400 pixels; predict_batches"
    for left in (2e8, 2.42e8):  # too little for the masks; for them, but not the logits as well
        monkeypatch.setattr(predicting, "memory_left", lambda left=left: left)
        with pytest.raises(UsageError, match=sentence):
            predictor.predict_many(boxes=boxes, multimask_output=False)
    monkeypatch.setattr(predicting, "BATCH_BYTES", 3 * 600 * 400)
    first = next(batches := predictor.predict_batches(boxes=boxes, multimask_output=False))
    assert torch.is_grad_enabled() and next(batches).scores.shape == (3, 1)
    assert len(first.masks) == 3
    np.testing.assert_array_equal(
        first.masks[0], predictor.predict(box=boxes[0], multimask_output=False)[0]
    )

    def refuses(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(predicting, "memory_left", lambda: float("inf"))
    monkeypatch.setattr(torch, "empty", refuses)
    with pytest.raises(UsageError, match=sentence):
        predictor.predict_many(boxes=boxes, multimask_output=False)


def test_the_memory_that_is_left_is_that_of_the_machine_or_its_container(tmp_path, monkeypatch):
    left = memory.memory_left()
    assert 1e6 < left < 1e15 if sys.platform == "linux" else left == np.inf
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUPS", ((limit, "anon"), (tmp_path / "none", "total_rss")))
    limit.write_text("1000\n")
    assert memory.memory_left() == 1000
    (tmp_path / "memory.stat").write_text("anon 300\nfile 600\n")  # copies of files are forgotten
    assert memory.memory_left() == 700
    limit.write_text("max\n")
    assert memory.memory_left() > 1000


def test_no_rows_are_no_masks(predictor):
    masks, scores, low = predictor.predict_torch(torch.zeros(0, 1, 2), torch.zeros(0, 1))
    assert masks.shape == (0, 3, 400, 600) and scores.shape == (0, 3) and len(low) == 0
    assert list(predictor.predict_batches(np.zeros((0, 1, 2)), np.zeros((0, 1)))) == []
    with pytest.raises(UsageError, match="chunk must be at least 1, not -1"):
        list(predictor.predict_batches(np.zeros((3, 1, 2)), np.zeros((3, 1)), chunk=-1))


def test_one_row_of_labels_or_of_points_serves_all_sets(predictor):
    points, ones = np.array([[[300, 200]], [[30, 50]]]), np.ones((2, 1))
    expected = predictor.predict_many(points, ones)[2]
    np.testing.assert_array_equal(predictor.predict_many(points, [1])[2], expected)
    np.testing.assert_array_equal(predictor.predict_many(points, [[1]])[2], expected)
    here = predictor.predict_many(points[0], [[1], [0]])[2]
    np.testing.assert_allclose(here[1], predictor.predict(points[0], [0])[2], atol=1e-4)


def test_rows_that_do_not_match_are_named(predictor):
    with pytest.raises(UsageError, match=r"coords \(3, 1, 2\)"):
        predictor.predict_torch(torch.zeros(3, 1, 2), torch.zeros(3, 1), torch.zeros(2, 4))


def test_small_regions_go_where_that_is_asked_for(predictor):
    box = np.array([100, 100, 400, 300])
    rough, _, _ = predictor.predict(box=box)
    clean, _, _ = predictor.predict(box=box, remove_small_regions=10**6)
    assert clean.shape == rough.shape
    assert any(mask.all() for mask in clean) or (clean != rough).any()


def test_a_bfloat16_model_answers_in_float32(golden):
    import copy

    sam = copy.deepcopy(golden.build_model("trained")).to(torch.bfloat16)
    predictor = SamPredictor(sam)
    predictor.set_image(golden.image("coffee"))
    masks, scores, low = predictor.predict(point_coords=[[300, 200]], point_labels=[1])
    assert masks.dtype == bool and scores.dtype == np.float32 and low.dtype == np.float32


def test_works_within_inference_mode_and_results_can_be_trained_on(predictor):
    with torch.inference_mode():
        other = SamPredictor(predictor.model)
        other.set_image(np.zeros((50, 60, 3), np.uint8))
        other.predict(point_coords=[[30, 20]], point_labels=[1])
    features = predictor.get_image_embedding()
    assert not features.is_inference() and not features.requires_grad


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (2000, 30)])
def test_odd_sizes_work(golden, size):
    predictor = SamPredictor(golden.build_model("trained"))
    predictor.set_image(np.full((*size, 3), 100, np.uint8))
    masks, _, _ = predictor.predict(point_coords=[[0, 0]], point_labels=[1])
    assert masks.shape == (3, *size)
