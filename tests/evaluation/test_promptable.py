"""The click and box protocol with a predictor whose answers are known."""

import numpy as np
import pytest

from samkit.evaluation.promptable import Score, box_of, score_photo, score_rules, table


class Oracle:
    """Answers with given masks; a stand-in for the model only, the protocol is the real one."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.asked: list[dict] = []

    def set_image(self, image: np.ndarray) -> None:
        self.image = image

    def predict_many(self, point_coords=None, point_labels=None, boxes=None, mask_input=None,
                     multimask_output=True):  # fmt: skip
        self.asked.append(
            {"points": point_coords, "labels": point_labels, "boxes": boxes, "mask": mask_input}
        )
        left = self.truth.copy()
        left[:, left.shape[1] // 2 :] = False
        empty = np.zeros_like(self.truth)
        answers = np.stack([empty, left, self.truth]) if multimask_output else self.truth[None]
        scores = np.array([0.1, 0.9, 0.5]) if multimask_output else np.array([0.7])
        low = np.zeros((1, len(answers), 8, 8), np.float32)
        low[0, :, 0, 0] = np.arange(len(answers))
        return answers[None], scores[None], low


def test_the_most_confident_counts_and_the_best_is_reported_apart() -> None:
    truth = np.zeros((40, 40), bool)
    truth[10:30, 10:34] = True
    oracle = Oracle(truth)
    (score,) = score_photo(
        oracle,
        "s",
        "i",
        np.zeros((40, 40, 3), np.uint8),
        [truth],
        clicks=2,  # type: ignore[arg-type]
    )
    assert score.values["c1"] == pytest.approx(10 / 24)
    assert score.values["c1_best"] == score.values["c2"] == score.values["box_single"] == 1.0
    assert score.values["box"] == pytest.approx(10 / 24) and score.values["box_best"] == 1.0
    first, second, boxes, _ = oracle.asked
    assert first["mask"] is None and first["points"].shape == (1, 1, 2)
    assert second["points"].shape == (1, 2, 2) and second["labels"].tolist() == [[1, 1]]
    assert second["points"][0, 1, 0] > 20, "the second click goes where the first answer missed"
    assert second["mask"][0, 0, 0, 0] == 1.0, "the logits of the chosen candidate are fed back"
    assert boxes["boxes"].tolist() == [[10, 10, 33, 29]]


def test_rules_are_scored_on_the_same_prompts() -> None:
    truth = np.zeros((100, 100), bool)
    truth[40:60, 30:70] = True
    scores = score_rules(np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8), truth)
    assert scores["rectangle"] == 1.0
    assert scores["ellipse"] == pytest.approx(np.pi / 4, abs=0.02)
    assert scores["discs_best"] >= scores["disc"] > 0
    assert box_of(truth) == (30, 40, 69, 59)


def test_the_table_is_a_mean_over_masks_not_over_sources() -> None:
    rows = table(
        [
            Score("a", "1", 200, {"c1": 1.0}),
            Score("b", "2", 200, {"c1": 0.0}),
            Score("b", "2", 300, {"c1": 0.5}),
        ]
    )
    assert rows["all"] == {"masks": 3.0, "c1": pytest.approx(0.5)}
    assert rows["b"]["c1"] == pytest.approx(0.25)
