"""Code as people wrote it for the official package, with nothing but the import changed."""

from pathlib import Path

import numpy as np
import pytest
import torch

import samkit as segment_anything
from samkit.modeling import VARIANTS, Sam


@pytest.fixture
def checkpoint(golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trained model of the official architecture, small, in place of the published ViT-B."""
    trained = golden.build_model("trained")
    monkeypatch.setitem(VARIANTS, "vit_b", trained.config)
    torch.save(trained.state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    return str(tmp_path / "sam_vit_b_01ec64.pth")


def test_the_predictor_notebook(checkpoint: str, golden) -> None:
    from samkit import SamPredictor, sam_model_registry

    image = golden.image("coffee")
    sam = sam_model_registry["vit_b"](checkpoint=checkpoint)
    sam.to(device="cpu")
    predictor = SamPredictor(sam)
    predictor.set_image(image)

    masks, scores, logits = predictor.predict(
        point_coords=np.array([[300, 200]]), point_labels=np.array([1]), multimask_output=True
    )
    assert masks.shape == (3, *image.shape[:2]) and masks.dtype == bool
    assert scores.shape == (3,) and logits.shape == (3, 32, 32)

    mask_input = logits[np.argmax(scores), :, :]
    masks, _, _ = predictor.predict(
        point_coords=np.array([[300, 200], [400, 100]]),
        point_labels=np.array([1, 0]),
        mask_input=mask_input[None, :, :],
        multimask_output=False,
    )
    assert masks.shape == (1, *image.shape[:2])

    input_boxes = torch.tensor([[75, 100, 300, 350], [200, 50, 500, 300]], device=predictor.device)
    boxes = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
    masks, _, _ = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=boxes, multimask_output=False
    )
    assert masks.shape == (2, 1, *image.shape[:2])

    resize = segment_anything.utils.transforms.ResizeLongestSide(sam.image_encoder.img_size)
    record = {
        "image": torch.as_tensor(resize.apply_image(image)).permute(2, 0, 1).contiguous(),
        "boxes": resize.apply_boxes_torch(input_boxes, image.shape[:2]),
        "original_size": image.shape[:2],
    }
    output = sam([record, record], multimask_output=False)
    assert output[1]["masks"].shape == (2, 1, *image.shape[:2])
    assert torch.equal(output[0]["masks"], output[1]["masks"])


def test_the_automatic_mask_notebook(checkpoint: str, golden) -> None:
    from samkit.automatic_mask_generator import SamAutomaticMaskGenerator
    from samkit.build_sam import build_sam_vit_b

    image = golden.image("coffee")
    mask_generator = SamAutomaticMaskGenerator(
        model=build_sam_vit_b(checkpoint),
        points_per_side=8,
        pred_iou_thresh=0.3,
        stability_score_thresh=0.5,
        crop_n_layers=1,
        crop_n_points_downscale_factor=2,
        min_mask_region_area=100,
    )
    masks = mask_generator.generate(image)

    sorted_anns = sorted(masks, key=(lambda x: x["area"]), reverse=True)
    assert len(sorted_anns) > 1
    for ann in sorted_anns:
        assert ann["segmentation"].shape == image.shape[:2]
        assert ann["area"] == ann["segmentation"].sum()
    assert set(masks[0]) >= {
        "segmentation",
        "area",
        "bbox",
        "predicted_iou",
        "point_coords",
        "stability_score",
        "crop_box",
    }


def test_the_helpers_take_the_official_arguments() -> None:
    from samkit.utils import amg

    masks = torch.zeros(2, 20, 30, dtype=torch.bool)
    masks[0, 4:9, 5:11] = True
    masks[1, ::2] = True
    rles = amg.mask_to_rle_pytorch(masks)
    assert rles[0]["size"] == [20, 30] and rles[0]["counts"][:2] == [104, 5]
    assert [amg.area_from_rle(rle) for rle in rles] == [30, 300]
    assert all(
        np.array_equal(amg.rle_to_mask(r), m.numpy()) for r, m in zip(rles, masks, strict=True)
    )
    assert isinstance(amg.coco_encode_rle(rles[0])["counts"], str)

    boxes = amg.batched_mask_to_box(masks)
    assert boxes.tolist() == [[5, 4, 10, 8], [0, 0, 29, 18]]
    assert amg.box_xyxy_to_xywh(boxes)[0].tolist() == [5, 4, 5, 4]
    near = amg.is_box_near_crop_edge(boxes, [0, 0, 30, 20], [0, 0, 60, 20], atol=2.0)
    assert near.tolist() == [False, True]
    assert amg.uncrop_boxes_xyxy(boxes, [7, 9, 37, 29])[0].tolist() == [12, 13, 17, 17]
    assert amg.uncrop_points(torch.tensor([[1, 2]]), [7, 9, 37, 29]).tolist() == [[8, 11]]
    assert amg.uncrop_masks(masks, [7, 9, 37, 29], 40, 50).shape == (2, 40, 50)

    crops, layers = amg.generate_crop_boxes((100, 200), 1, 512 / 1500)
    assert crops[0] == [0, 0, 200, 100] and layers == [0, 1, 1, 1, 1]
    assert [len(grid) for grid in amg.build_all_layer_point_grids(8, 1, 2)] == [64, 16]
    logits = torch.linspace(-4, 4, 600).reshape(1, 20, 30)
    assert 0 < amg.calculate_stability_score(logits, 0.0, 1.0).item() < 1
    filled, changed = amg.remove_small_regions(~masks[0].numpy(), 50, "holes")
    assert changed and filled.all()
    batches = list(amg.batch_iterator(2, torch.arange(5), list("abcde")))
    assert [len(batch[0]) for batch in batches] == [2, 2, 1] and batches[2][1] == ["e"]


def test_settings_of_a_generator_are_attributes_that_take_effect(golden) -> None:
    image = golden.image("coffee")[::2, ::2]
    generator = segment_anything.SamAutomaticMaskGenerator(
        golden.build_model("trained"), points_per_side=6, stability_score_thresh=0.4
    )
    assert generator.predictor.model is generator.model
    assert (generator.points_per_batch, generator.crop_n_layers) == (64, 0)
    assert generator.generate(image) == []  # nothing is above the default threshold
    generator.pred_iou_thresh = 0.1
    generator.output_mode = "uncompressed_rle"
    found = generator.generate(image)
    assert len(found) > 3 and generator.settings.pred_iou_thresh == 0.1

    generator.crop_n_layers = 1
    assert [len(grid) for grid in generator.point_grids] == [36, 36]
    generator.point_grids = [np.array([[0.5, 0.5]])] * 2
    generator.min_mask_region_area = 20
    assert [len(grid) for grid in generator.point_grids] == [1, 1]
    with pytest.raises(AttributeError, match="no attribute 'pred_iou'"):
        _ = generator.pred_iou
    with pytest.raises(segment_anything.SamkitError, match="points_per_batch"):
        generator.points_per_batch = 0


def test_mask_data_and_the_clean_up_of_small_regions() -> None:
    from samkit.utils.amg import MaskData, batched_mask_to_box, mask_to_rle_pytorch, rle_to_mask

    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[:2, 4:14, 5:15] = True
    masks[0, 8, 8] = False
    masks[1, 18, 28] = True
    masks[2, 10:20, 20:30] = True
    data = MaskData(rles=mask_to_rle_pytorch(masks), boxes=batched_mask_to_box(masks))
    data["iou_preds"] = torch.tensor([0.9, 0.8, 0.7])
    data["points"] = np.arange(6).reshape(3, 2)
    both = MaskData()
    both.cat(data)
    both.cat(data)
    assert {name: len(column) for name, column in both.items()} == dict.fromkeys(
        ("rles", "boxes", "iou_preds", "points"), 6
    )
    both.filter(torch.tensor([True, False] * 3))
    both.filter(torch.tensor([2, 1]))
    assert both["iou_preds"].tolist() == pytest.approx([0.8, 0.7])
    assert both["points"].tolist() == [[2, 3], [4, 5]] and both["rles"][0] == data["rles"][1]
    with pytest.raises(segment_anything.SamkitError, match="column 'x'"):
        both["x"] = 3

    data.to_numpy()
    assert isinstance(data["boxes"], np.ndarray)
    clean = segment_anything.SamAutomaticMaskGenerator.postprocess_small_regions(data, 5, 0.7)
    assert clean is data and len(clean["rles"]) == 2  # the two squares are one now
    assert clean["boxes"].tolist() == [[20, 10, 29, 19], [5, 4, 14, 13]]
    assert rle_to_mask(clean["rles"][1]).sum() == 100
    assert clean["points"].tolist() == [[4, 5], [0, 1]]


def test_relative_positions_and_windows_under_their_official_names() -> None:
    from samkit.modeling.attention import attend
    from samkit.modeling.image_encoder import (
        add_decomposed_rel_pos,
        get_rel_pos,
        window_partition,
        window_unpartition,
    )

    torch.manual_seed(0)
    heads, tables = torch.randn(1, 3, 5, 3, 1, 8), (torch.randn(5, 8), torch.randn(9, 8))
    q, k, v = heads[0, :, :, :, 0].flatten(0, 1).unbind(1)
    scores = (q @ k.T)[None] * 8**-0.5
    scores = add_decomposed_rel_pos(scores, q[None], *tables, (3, 5), (3, 5))
    expected = attend(heads, tables)[0].flatten(0, 1)
    assert torch.allclose((scores.softmax(-1) @ v)[0], expected, atol=1e-5)

    table = torch.arange(7.0)[:, None]  # distances -3 to 3
    assert get_rel_pos(4, 2, table)[..., 0].tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]
    assert get_rel_pos(2, 4, table)[..., 0].tolist() == [[3, 2, 1, 0], [5, 4, 3, 2]]

    x = torch.randn(2, 5, 7, 3)
    windows, padded = window_partition(x, 4)
    assert windows.shape == (8, 4, 4, 3) and padded == (8, 8)
    assert torch.equal(window_unpartition(windows, 4, padded, (5, 7)), x)


ONNX_INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")


@pytest.fixture
def onnx_inputs(golden):
    """Inputs of the ONNX notebook, and the same asked of the predictor."""
    predictor = segment_anything.SamPredictor(golden.build_model("trained"))
    predictor.set_image(golden.image("coffee"))
    height, width = predictor.original_size

    def inputs(coords: list[list[float]], labels: list[float], mask: np.ndarray | None):
        given = predictor.transform.apply_coords(np.array([coords]), (height, width))
        values = (
            predictor.get_image_embedding(),
            torch.from_numpy(given).float(),
            torch.tensor([labels], dtype=torch.float32),
            torch.zeros(1, 1, 32, 32) if mask is None else torch.from_numpy(mask)[None],
            torch.tensor([0.0 if mask is None else 1.0]),
            torch.tensor([height, width], dtype=torch.float32),
        )
        return dict(zip((*ONNX_INPUTS, "orig_im_size"), values, strict=True))

    return predictor, inputs


def test_the_onnx_model_answers_as_the_predictor_does(onnx_inputs, golden) -> None:
    from samkit.utils.onnx import SamOnnxModel

    predictor, inputs = onnx_inputs
    point, box = [[300.0, 200.0]], np.array([150.0, 60.0, 470.0, 330.0])
    whole = SamOnnxModel(predictor.model, return_single_mask=False)
    single = SamOnnxModel(predictor.model, return_single_mask=True)

    click = inputs([*point, [0, 0]], [1, -1], None).values()
    masks, scores, low = whole(*click)
    parts = [predictor.predict(np.array(point), [1], None, None, m, True) for m in (False, True)]
    for ours, theirs in zip((masks, scores, low), zip(*parts, strict=True), strict=True):
        assert np.allclose(ours[0], np.concatenate(theirs), atol=1e-3)
    best = int(scores[0, 1:].argmax()) + 1
    assert torch.equal(single(*click)[2][0, 0], low[0, best])

    disc = golden.mask_input("trained")
    prompt = inputs([*point, *box.reshape(2, 2).tolist()], [1, 2, 3], disc).values()
    masks, scores, low = single(*prompt)
    theirs = predictor.predict(np.array(point), [1], box, disc, False, True)
    for ours, expected in zip((masks, scores, low), theirs, strict=True):
        assert np.allclose(ours[0], expected, atol=1e-3)

    rich = SamOnnxModel(predictor.model, True, use_stability_score=True, return_extra_metrics=True)
    masks, scores, stability, areas, low = rich(*prompt)
    stable = segment_anything.utils.amg.calculate_stability_score
    assert torch.allclose(scores, stable(low, 0.0, 1.0))
    assert torch.allclose(stability, stable(masks, 0.0, 1.0))
    assert areas.tolist() == [[int((masks > 0).sum())]]

    with pytest.raises(segment_anything.SamkitError, match="samkit export"):
        SamOnnxModel(Sam(VARIANTS["default"]), True)


@pytest.mark.filterwarnings("ignore")  # of the older exporter
def test_the_onnx_notebook(onnx_inputs, tmp_path: Path) -> None:
    """Its call of `torch.onnx.export`; the graph serves any number of points and any size.

    But for `dynamo=False`: torch's newer exporter takes such `dynamic_axes` for other inputs.
    """
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from samkit.utils.onnx import SamOnnxModel

    predictor, inputs = onnx_inputs
    model = SamOnnxModel(predictor.model, return_single_mask=True)
    dummy = inputs([[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], [1, 0, 1, 2, 3], None)
    torch.onnx.export(
        model,
        tuple(dummy.values()),
        str(tmp_path / "sam.onnx"),
        export_params=True,
        verbose=False,
        opset_version=17,
        do_constant_folding=True,
        input_names=list(dummy),
        output_names=["masks", "iou_predictions", "low_res_masks"],
        dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "sam.onnx"))
    prompt = inputs([[300, 200], [0, 0]], [1, -1], None)
    prompt["orig_im_size"] = torch.tensor([333.0, 500.0])
    answer = session.run(None, {name: value.numpy() for name, value in prompt.items()})
    assert answer[0].shape == (1, 1, 333, 500)
    for ours, expected in zip(answer, model(*prompt.values()), strict=True):
        assert np.allclose(ours, expected, atol=1e-3)


def test_a_training_loop_written_for_the_parts_runs(golden) -> None:
    """As the many fine-tuning notebooks do: frozen encoder, trained decoder."""
    sam = Sam(golden.build_model("trained").config)
    with torch.no_grad():
        image_embedding = sam.image_encoder(sam.preprocess(torch.zeros(1, 3, 128, 128)))
        sparse, dense = sam.prompt_encoder(
            points=None, boxes=torch.tensor([[10.0, 10.0, 60.0, 60.0]]), masks=None
        )
    low_res_masks, iou_predictions = sam.mask_decoder(
        image_embeddings=image_embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    upscaled = sam.postprocess_masks(low_res_masks, (128, 96), (64, 48))
    (upscaled.mean() + iou_predictions.mean()).backward()

    assert upscaled.shape == (1, 1, 64, 48)
    assert sam.mask_decoder.mask_tokens.weight.grad is not None
