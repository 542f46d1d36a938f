"""Means, correlation and their intervals."""

import numpy as np
import pytest

from samkit.evaluation.summaries import (
    ImageScores,
    calibration_values,
    edge_values,
    reliability,
    summarise,
)


def image(**values: list[float]) -> ImageScores:
    return ImageScores("s", "i", {name: np.array(value) for name, value in values.items()})


def test_means_are_over_masks_not_over_images() -> None:
    summary = summarise("clicks", [image(c1=[1.0], c2=[0.5]), image(c1=[0, 0, 0.0], c2=[1] * 3)])
    assert summary["c1"] == pytest.approx(0.25) and summary["c2"] == pytest.approx(0.875)


def test_the_interval_is_that_of_drawing_images_again() -> None:
    generator = np.random.default_rng(5)
    images = [image(c1=generator.normal(0.5, 0.2, 4).tolist()) for _ in range(200)]
    summary = summarise("clicks", images)
    means = np.array([one.values["c1"].mean() for one in images])
    half = 1.96 * means.std() / np.sqrt(200)
    low, high = summary["c1_ci"]
    assert low == pytest.approx(summary["c1"] - half, abs=0.1 * half + 1e-3)
    assert high == pytest.approx(summary["c1"] + half, abs=0.1 * half + 1e-3)
    assert summarise("clicks", images) == summary, "the same draws every time"


def test_masks_of_one_image_are_not_independent() -> None:
    alike = [image(c1=[value] * 50) for value in (0.2, 0.8)]
    low, high = summarise("clicks", alike)["c1_ci"]
    assert low == pytest.approx(0.2) and high == pytest.approx(0.8)


def test_one_image_has_no_interval() -> None:
    assert summarise("box", [image(box=[0.5, 1.0])]) == {"box": 0.75}


def test_the_correlation_is_pearsons_over_all_masks() -> None:
    generator = np.random.default_rng(0)
    x = generator.random((30, 6, 3))
    y = 0.5 * x + 0.3 * generator.random(x.shape)
    images = [ImageScores("", "", calibration_values(a, b)) for a, b in zip(x, y, strict=True)]
    summary = summarise("calibration", images)
    expected = np.corrcoef(x.ravel(), y.ravel())[0, 1]
    assert summary["iou_corr"] == pytest.approx(expected)
    low, high = summary["iou_corr_ci"]
    assert low < expected < high < 1


def test_a_correlation_of_what_does_not_vary_is_not_defined() -> None:
    constant = ImageScores("", "", calibration_values(np.full((2, 3), 0.5), np.eye(3)[:2]))
    assert summarise("calibration", [constant, constant]) == {
        "iou_corr": None,
        "iou_corr_ci": None,
    }


def test_edges_add_up_over_images_and_each_has_its_best_threshold() -> None:
    good = np.array([[50, 100, 50, 100], [90, 100, 90, 100]])
    other = np.array([[80, 100, 80, 100], [10, 100, 10, 100]])
    images = [ImageScores("", "", edge_values(counts)) for counts in (good, other)]
    summary = summarise("edges", images)
    assert summary["ois"] == pytest.approx(0.85)
    assert summary["ods"] == pytest.approx(0.65)
    low, high = summary["ods_ci"]
    assert low == pytest.approx(0.65) and high == pytest.approx(0.9)


def test_bins_hold_masks_of_similar_predicted_iou() -> None:
    values = calibration_values(np.array([[0.11, 0.19, 1.0]]), np.array([[0.3, 0.5, 0.9]]))
    first, last = reliability([ImageScores("", "", values)])
    assert (first.predicted, first.true, first.masks) == pytest.approx((0.15, 0.4, 2))
    assert (last.predicted, last.true, last.masks) == (1.0, 0.9, 1)
