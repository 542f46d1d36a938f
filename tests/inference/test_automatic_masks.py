import dataclasses
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from samkit.errors import ImageError, UsageError
from samkit.inference import (
    PRESETS,
    AutomaticMaskSettings,
    SamAutomaticMaskGenerator,
    SamPredictor,
)
from samkit.inference import automatic_mask_generator as module
from samkit.masks import rle
from samkit.modeling import VARIANTS, Sam

LOW = {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.4}


def iou(a, b):
    x, y = rle.decode(a["segmentation"]), rle.decode(b["segmentation"])
    return np.count_nonzero(x & y) / np.count_nonzero(x | y)


@pytest.mark.parametrize(
    ("model", "entry"),
    [("trained", name) for name in ("whole", "crops", "regions", "synthetic_crops")]
    + [("tiny", name) for name in ("whole", "crops")],
)
def test_official_records_in_the_official_order(golden, model, entry):
    with gzip.open(golden.folder / f"amg_{model}.json.gz") as file:
        expected = json.load(file)[entry]
    generator = SamAutomaticMaskGenerator(
        golden.build_model(model), output_mode="coco_rle", **expected["settings"]
    )
    records = generator.generate(golden.image(expected["image"]))
    assert len(records) == expected["count"] == len(expected["records"])
    for ours, theirs in zip(records, expected["records"], strict=True):
        assert list(ours) == list(theirs)
        assert iou(ours, theirs) > 0.999
        assert ours["point_coords"] == theirs["point_coords"]
        assert ours["crop_box"] == theirs["crop_box"] and ours["bbox"] == theirs["bbox"]
        assert ours["area"] == pytest.approx(theirs["area"], abs=5)
        assert ours["predicted_iou"] == pytest.approx(theirs["predicted_iou"], abs=1e-4)
        assert ours["stability_score"] == pytest.approx(theirs["stability_score"], abs=1e-3)


@pytest.fixture(scope="module")
def trained(golden):
    return golden.build_model("trained")


@pytest.fixture(scope="module")
def coffee(golden):
    return golden.image("coffee")[::2, ::2]


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a["segmentation"] == b["segmentation"] and a["bbox"] == b["bbox"]
        assert a["predicted_iou"] == pytest.approx(b["predicted_iou"], abs=1e-6)
        assert a["stability_score"] == pytest.approx(b["stability_score"], abs=1e-4)
        assert a["point_coords"] == b["point_coords"]


def test_thresholds_change_without_the_model(trained, coffee, monkeypatch):
    base = AutomaticMaskSettings(points_per_side=6, crop_n_layers=1, **LOW)
    generator = SamAutomaticMaskGenerator.from_settings(trained, base, "coco_rle")
    found = generator.candidates(coffee, pred_iou_floor=0.15, stability_floor=0.3)
    choices = [
        base,
        dataclasses.replace(base, pred_iou_thresh=0.5),
        dataclasses.replace(base, stability_score_thresh=0.8, box_nms_thresh=0.4),
        dataclasses.replace(base, min_mask_region_area=200, max_mask_share=0.3),
    ]
    expected = [
        SamAutomaticMaskGenerator.from_settings(trained, choice, "coco_rle").generate(coffee)
        for choice in choices
    ]
    assert len({len(records) for records in expected}) > 2
    monkeypatch.setattr(module, "find", None)  # the model is not asked again
    for choice, records in zip(choices, expected, strict=True):
        same(generator.select(found, choice), records)
    same(generator.select(found), expected[0])


def test_what_candidates_cannot_give_is_refused(trained, coffee):
    base = AutomaticMaskSettings(points_per_side=4)
    generator = SamAutomaticMaskGenerator.from_settings(trained, base)
    found = generator.candidates(coffee, pred_iou_floor=0.6)
    with pytest.raises(UsageError, match="below pred_iou_thresh"):
        generator.select(found, dataclasses.replace(base, pred_iou_thresh=0.5))
    with pytest.raises(UsageError, match="points_per_side 4"):
        generator.select(found, dataclasses.replace(base, points_per_side=8))


@pytest.mark.parametrize("layers", [0, 1])
def test_no_masks_are_an_empty_list(trained, coffee, layers):
    generator = SamAutomaticMaskGenerator(
        trained, points_per_side=4, pred_iou_thresh=0.9999, crop_n_layers=layers
    )
    assert generator.generate(coffee) == []
    unstable = SamAutomaticMaskGenerator(
        trained, 4, pred_iou_thresh=0, stability_score_thresh=1.0, crop_n_layers=layers,
        min_mask_region_area=100,
    )  # fmt: skip
    assert unstable.generate(coffee) == []


def test_output_modes_hold_the_same_masks(trained, coffee):
    by_mode = {
        mode: SamAutomaticMaskGenerator(
            trained, points_per_side=8, output_mode=mode, **LOW
        ).generate(coffee)
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    }
    assert len(by_mode["binary_mask"]) > 5
    for binary, listed, text in zip(*by_mode.values(), strict=True):
        mask = binary["segmentation"]
        assert mask.dtype == bool and mask.shape == coffee.shape[:2]
        assert isinstance(listed["segmentation"]["counts"], list)
        assert isinstance(text["segmentation"]["counts"], str)
        np.testing.assert_array_equal(mask, rle.decode(listed["segmentation"]))
        np.testing.assert_array_equal(mask, rle.decode(text["segmentation"]))
        x, y, w, h = binary["bbox"]
        assert (
            binary["area"] == mask.sum() and mask[y : y + h + 1, x : x + w + 1].sum() == mask.sum()
        )


def test_points_cover_the_whole_of_every_crop(trained, coffee):
    base = AutomaticMaskSettings(
        8, pred_iou_thresh=0, stability_score_thresh=0, crop_n_layers=2,
        crop_n_points_downscale_factor=2, box_nms_thresh=1.0,
    )  # fmt: skip
    found = SamAutomaticMaskGenerator.from_settings(trained, base).candidates(coffee)
    assert len(found.crops) == 1 + 4 + 16
    for crop in found.crops:
        left, top, right, bottom = crop.crop_box
        size = np.array([right - left, bottom - top])
        side = {0: 8, 1: 4, 2: 2}[round(np.log2(coffee.shape[1] / size[0]) + 0.2)]
        np.testing.assert_allclose(crop.points.min(0), size / (2 * side))
        np.testing.assert_allclose(crop.points.max(0), size - size / (2 * side))
    assert found.crops[-1].crop_box[2:] == (coffee.shape[1], coffee.shape[0])


def test_the_papers_preset_holds_its_numbers():
    paper = PRESETS["paper"]
    assert PRESETS["official"] == AutomaticMaskSettings()
    assert paper.points_per_side == 32 and paper.crop_n_layers == 2
    assert paper.crop_n_points_downscale_factor == 2  # 32, 16 and 8 points a side
    assert (paper.pred_iou_thresh, paper.stability_score_thresh) == (0.88, 0.95)
    assert (paper.box_nms_thresh, paper.crop_nms_thresh) == (0.7, 0.7)
    assert (paper.min_mask_region_area, paper.max_mask_share) == (100, 0.95)
    assert paper.drop_small_masks


def test_masks_over_the_largest_share_are_dropped(trained, coffee):
    base = AutomaticMaskSettings(points_per_side=8, **LOW)
    areas = [
        [
            record["area"]
            for record in SamAutomaticMaskGenerator.from_settings(
                trained, dataclasses.replace(base, max_mask_share=share)
            ).generate(coffee)
        ]
        for share in (1.0, 0.05)
    ]
    limit = 0.05 * coffee.shape[0] * coffee.shape[1]
    assert max(areas[0]) > limit >= max(areas[1])


def test_small_masks_are_dropped_only_where_that_is_wanted(trained, coffee):
    base = AutomaticMaskSettings(points_per_side=8, min_mask_region_area=2000, **LOW)
    kept, dropped = (
        SamAutomaticMaskGenerator.from_settings(
            trained, dataclasses.replace(base, drop_small_masks=drop)
        ).generate(coffee)
        for drop in (False, True)
    )
    assert min(record["area"] for record in kept) < 2000
    assert min(record["area"] for record in dropped) >= 2000


def test_grids_of_ones_own(trained, coffee):
    grid = [np.array([[0.25, 0.5], [0.75, 0.5]])]
    generator = SamAutomaticMaskGenerator(trained, None, point_grids=grid, **LOW)
    height, width = coffee.shape[:2]
    points = {tuple(record["point_coords"][0]) for record in generator.generate(coffee)}
    assert points <= {(0.25 * width, 0.5 * height), (0.75 * width, 0.5 * height)}
    with pytest.raises(UsageError, match="layers"):
        SamAutomaticMaskGenerator(trained, None, point_grids=grid, crop_n_layers=1)
    with pytest.raises(UsageError, match="Nx2"):
        SamAutomaticMaskGenerator(trained, None, point_grids=[np.array([[2.0, 0.5]])])
    with pytest.raises(UsageError, match="either"):
        SamAutomaticMaskGenerator(trained, 32, point_grids=grid)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"output_mode": "png"}, "output_mode"),
        ({"points_per_batch": 0}, "points_per_batch"),
        ({"points_per_side": 0}, "points_per_side"),
        ({"crop_overlap_ratio": 1.0}, "crop_overlap_ratio"),
        ({"points_per_side": 2, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}, "point"),
    ],
)
def test_senseless_settings_are_one_sentence(trained, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        SamAutomaticMaskGenerator(trained, **settings)


def test_what_is_no_image_is_refused(trained):
    with pytest.raises(ImageError):
        SamAutomaticMaskGenerator(trained).generate(np.zeros((3, 5, 5, 5)))


def test_a_model_with_fine_features_and_prompt_maps_works(coffee):
    torch.manual_seed(0)
    sam = Sam(VARIANTS["default"]).eval()
    sam.set_image_size(128)
    generator = SamAutomaticMaskGenerator(
        sam, 4, pred_iou_thresh=-10, stability_score_thresh=0, box_nms_thresh=1.0
    )
    records = generator.generate(coffee)
    assert len(records) > 10


def test_masks_are_asked_for_again_by_point_and_box(trained, coffee):
    """Against the predictor, asked for each point's masks and then with the box of each; an answer
    that is another mask than the first, or takes too much of the image, does not count."""
    side = min(coffee.shape[:2])
    coffee = coffee[:side, :side]  # no padding, which boxes know nothing of
    settings = AutomaticMaskSettings(
        points_per_side=4, stability_score_thresh=0, box_nms_thresh=1.0, pred_iou_thresh=0.3
    )
    most = 0.6
    again = dataclasses.replace(settings, ask_again=True, max_mask_share=most)
    found = SamAutomaticMaskGenerator.from_settings(trained, again).generate(coffee)
    predictor = SamPredictor(trained)
    predictor.set_image(coffee)
    grid = (np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 1, 2) + 0.5) / 4
    points = grid * side
    labels = np.ones((16, 1), int)
    masks, scores, low = predictor.predict_many(points, labels)
    cell = trained.image_encoder.img_size / low.shape[-1]
    scale = side / trained.image_encoder.img_size
    wanted, agree, large = [], [], []
    for point, k in np.argwhere(scores > 0.3):
        rows = np.flatnonzero((low[point, k] > 0).any(1))
        columns = np.flatnonzero((low[point, k] > 0).any(0))
        corners = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        box = (np.array(corners) * cell - [0, 0, 1, 1]) * scale
        (mask,), (score,), (second,) = predictor.predict(
            points[point], labels[point], box, None, False
        )
        if not (score > 0.3 and mask.any()):
            continue
        one, other = low[point, k] > 0, second > 0
        agree.append((one & other).sum() >= 0.6 * (one | other).sum())
        large.append(agree[-1] and other.mean() > most)
        counts = agree[-1] and not large[-1]
        wanted.append((score, mask) if counts else (scores[point, k], masks[point, k]))
        if wanted[-1][1].mean() > most:
            wanted.pop()
    assert any(agree) and not all(agree)
    assert any(large)
    assert len(found) == len(wanted) > 5
    for record, (score, mask) in zip(found, sorted(wanted, key=lambda one: -one[0]), strict=True):
        assert record["predicted_iou"] == pytest.approx(score, abs=1e-4)
        assert (record["segmentation"] != mask).mean() < 1e-3


def test_what_was_asked_again_is_chosen_from_with_the_same_thresholds(trained, coffee):
    settings = AutomaticMaskSettings(points_per_side=4, **LOW, ask_again=True)
    generator = SamAutomaticMaskGenerator.from_settings(trained, settings, "coco_rle")
    candidates = generator.candidates(coffee)
    assert generator.select(candidates) == generator.generate(coffee)
    for change in (
        {"pred_iou_thresh": 0.5},
        {"box_nms_thresh": 0.5},
        {"max_mask_share": 0.5},
        {"ask_again": False},
    ):
        with pytest.raises(UsageError, match=next(iter(change))):
            generator.select(candidates, dataclasses.replace(settings, **change))


MEASURE = """
import resource
import numpy as np, torch
from samkit.inference import SamAutomaticMaskGenerator
from samkit.modeling import *
torch.manual_seed(0)
sam = Sam(SamConfig(
    ViTConfig(128, embed_dim=128, depth=4, num_heads=4, window_size=5, global_attn_indexes=(1, 3),
              out_chans=128),
    PromptEncoderConfig(128), MaskDecoderConfig(mlp_dim=512))).eval()
generator = SamAutomaticMaskGenerator(
    sam, 5, pred_iou_thresh=-10, stability_score_thresh=0, box_nms_thresh=0.9,
    output_mode="coco_rle")
for side in (200, 3500):
    image = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    print(len(generator.generate(image)),
          resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_image_beyond_the_image_itself(forked):
    process = forked(MEASURE)
    said, errors = process.communicate()
    assert process.poll() == 0, errors
    (small_masks, small_peak), (masks, peak) = (
        map(int, line.split()) for line in said.splitlines()
    )
    assert small_masks and masks
    # Officially 64 x 3 float masks of 12 megapixels: 9 GB. The image itself has 37 MB.
    assert 0 < peak - small_peak < 250


MEASURE_VIT_B = """
import sys
sys.path.insert(0, "benchmarks")
import numpy as np, torch
from PIL import Image
from seeded import fill
from samkit.inference import SamAutomaticMaskGenerator
from samkit.modeling import VARIANTS, Sam
sam = Sam(VARIANTS["vit_b"])
fill(sam)
small = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
image = np.asarray(Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC))
generator = SamAutomaticMaskGenerator(
    sam.eval(), int(sys.argv[1]), pred_iou_thresh=0.3, stability_score_thresh=0.3,
    output_mode="coco_rle")
print(len(generator.generate(image)))
# Not getrusage, which begins with the peak of the process that started this one.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
def test_twelve_megapixels_with_vit_b_need_less_than_4_gigabytes():
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE_VIT_B, "16"],
        capture_output=True, text=True, check=True, cwd=root,
    )  # fmt: skip
    masks, peak = map(int, answer.stdout.split())
    assert masks and peak < 4_000_000  # kB
