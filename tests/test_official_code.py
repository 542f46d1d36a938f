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
