"""The click and box protocol with a segmenter whose answers are known."""

import tracemalloc

import numpy as np
import pytest

from samkit.datasets.document import ImageInfo
from samkit.datasets.pairs import Pair
from samkit.evaluation.promptable import (
    MOST_CLICKS,
    chunks,
    clicks_needed,
    score_boxes,
    score_clicks,
    score_random_click,
)
from samkit.evaluation.segmenters import Answer, Model
from samkit.evaluation.session import Plan, Session
from samkit.masks import rle


class Oracle:
    """Has a given IoU with the truth after each click; the protocol around it is the real one."""

    most_clicks = 100
    takes_boxes = True

    def __init__(self, truths: list[np.ndarray], shares: list[list[float]]) -> None:
        """truths: rectangles from the left; shares: of each, what is found after each click."""
        self.truths, self.shares = truths, shares
        self.clicks: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
        self.boxes: list[np.ndarray] = []

    def set_image(self, image: np.ndarray) -> None: ...

    def click(self, points, labels, logits) -> Answer:
        self.clicks.append((points, labels, logits))
        first = points.shape[1] == 1
        masks, low = [], []
        for point in points[:, 0]:
            i = next(
                k for k, truth in enumerate(self.truths) if truth[int(point[1]), int(point[0])]
            )
            found = part_of(self.truths[i], self.shares[i][points.shape[1] - 1])
            masks.append([np.zeros_like(found), found, self.truths[i]] if first else [found])
            low.append(np.arange(len(masks[-1]))[:, None, None] + np.full((1, 2, 2), 10 * i))
        scores = [[0.1, 0.9, 0.5] if first else [0.7]] * len(points)
        return Answer(np.array(masks), np.array(scores), np.array(low, np.float32))

    def box(self, boxes) -> Answer:
        self.boxes.append(boxes)
        masks = np.array([[part_of(truth, 0.5), truth] for truth in self.truths])
        return Answer(masks, np.array([[0.8, 0.2]] * len(boxes)))


def part_of(truth: np.ndarray, share: float) -> np.ndarray:
    """This share of a rectangle, from the left."""
    columns = np.flatnonzero(truth.any(0))
    found = truth.copy()
    found[:, columns[round(share * len(columns)) :]] = False
    return found


@pytest.fixture
def truths() -> list[np.ndarray]:
    low, high = np.zeros((60, 50), bool), np.zeros((60, 50), bool)
    high[2:22, 5:45], low[30:58, 5:45] = True, True
    return [high, low]


def test_the_most_confident_counts_and_the_best_is_reported_apart(truths) -> None:
    scores = score_clicks(Oracle(truths, [[0.25, 0.5], [0.75, 1.0]]), truths, clicks=2)
    values = scores.values()
    assert values["c1"].tolist() == [0.25, 0.75]
    assert values["c1_best"].tolist() == [1.0, 1.0]
    assert values["c2"].tolist() == [0.5, 1.0]
    assert scores.candidates.tolist() == [[0, 0.25, 1], [0, 0.75, 1]]
    assert scores.predicted.tolist() == [[0.1, 0.9, 0.5]] * 2
    assert set(values) == {"c1", "c1_best", "c2"}


def test_clicks_add_up_and_the_logits_that_counted_come_back(truths) -> None:
    oracle = Oracle(truths, [[0.25, 0.5, 0.75], [0.75, 0.9, 0.8]])
    score_clicks(oracle, truths, clicks=3)
    first, second, third = oracle.clicks
    assert first[0].shape == (2, 1, 2) and first[2] is None
    assert second[0].shape == (2, 2, 2) and second[1].tolist() == [[1, 1], [1, 1]]
    assert (second[0][:, 0] == first[0][:, 0]).all()
    assert second[0][0, 1, 0] > 15, "the second click goes where the first answer missed"
    assert second[2][:, 0, 0].tolist() == [1, 11], "of three candidates, the one that counted"
    assert third[0].shape == (2, 3, 2) and third[2][:, 0, 0].tolist() == [0, 10]


def test_after_nine_clicks_only_masks_that_are_not_good_enough_go_on(truths) -> None:
    never = [0.5] * 11 + [0.875] * 9
    early = [0.5, 0.9, *[0.5] * 18]
    oracle = Oracle(truths, [never, early])
    scores = score_clicks(oracle, truths, clicks=MOST_CLICKS)
    assert [len(points) for points, _, _ in oracle.clicks] == [2] * 9 + [1] * 11
    assert np.isnan(scores.rounds[1, 9:]).all() and not np.isnan(scores.rounds[0]).any()
    values = scores.values(noc=True)
    assert values["noc85"].tolist() == [12, 2]
    assert values["noc90"].tolist() == [20, 2]
    assert values["c9"].tolist() == [0.5, 0.5]


def test_clicks_needed_are_the_most_where_that_is_not_enough() -> None:
    rounds = np.array([[0.1, 0.85, 0.2], [0.9, np.nan, np.nan], [0.84, 0.84, 0.84]])
    assert clicks_needed(rounds, 0.85).tolist() == [2, 1, 20]


def test_a_random_click_is_in_its_mask_and_the_same_every_time(truths) -> None:
    oracle = Oracle(truths, [[0.25], [0.75]])
    for _ in range(2):
        values = score_random_click(oracle, truths, np.random.default_rng(3))
        assert values["c1_random"].tolist() == [0.25, 0.75]
    (points, labels, logits), (again, _, _) = oracle.clicks
    assert (points == again).all() and (labels == 1).all() and logits is None
    for truth, (x, y) in zip(truths, points[:, 0].astype(int), strict=True):
        assert truth[y, x]


def test_boxes_are_exact_and_jittered_and_the_most_confident_answer_counts(truths) -> None:
    oracle = Oracle(truths, [])
    values = score_boxes(oracle, truths, np.random.default_rng(0))
    assert values["box"].tolist() == values["box_jitter"].tolist() == [0.5, 0.5]
    exact, noisy = oracle.boxes
    assert exact.tolist() == [[5, 2, 44, 21], [5, 30, 44, 57]]
    assert (noisy != exact).any(1).all()


class BoxPredictor:
    """Three poor answers to a box, a better one of the single token, the best with logits."""

    def __init__(self, truths: list[np.ndarray]) -> None:
        self.truths = truths
        self.given: list[np.ndarray] = []

    def predict_many(self, *, boxes, mask_input=None, multimask_output):
        shares = [0.1, 0.2, 0.3] if multimask_output else [0.5]
        if mask_input is not None:
            self.given.append(mask_input)
            shares = [1.0]
        masks = np.array([[part_of(truth, s) for s in shares] for truth in self.truths])
        scores = np.tile([0.3, 0.9, 0.1][: len(shares)], (len(masks), 1))
        logits = np.arange(masks.shape[0] * len(shares), dtype=np.float32)
        return masks, scores, np.tile(logits.reshape(-1, len(shares), 1, 1), (1, 1, 4, 4))


def test_the_best_answer_to_a_box_goes_back_with_it_for_one_more_round(truths) -> None:
    predictor = BoxPredictor(truths)
    values = score_boxes(Model(predictor), truths, np.random.default_rng(0))
    assert values["box"] == pytest.approx([0.2, 0.2], abs=0.01)
    assert values["box_single"] == pytest.approx([0.5, 0.5], abs=0.01)
    assert values["box_refined"].tolist() == [1, 1]
    (given,) = predictor.given
    assert given.shape == (2, 1, 4, 4) and given[:, 0, 0, 0].tolist() == [1, 4]  # the confident


def test_masks_of_large_images_come_fewer_at_a_time() -> None:
    small = rle.encode(np.ones((1, 8, 8), bool)) * 70
    large = rle.encode(np.ones((1, 2500, 2500), bool)) * 2
    assert [len(part) for part in chunks(small)] == [32, 32, 6]
    assert [len(part) for part in chunks(large)] == [1, 1]


def test_the_masks_of_an_image_are_never_all_in_memory() -> None:
    """Sixty masks of 2.25 megapixels are 135 MB."""
    (mask,) = rle.encode(np.ones((1, 1500, 1500), bool))
    info = ImageInfo(1, 1500, 1500, "a.png")
    record = {"segmentation": mask, "area": 1500 * 1500}
    pair = Pair("a", info, [record] * 60, np.zeros((1500, 1500, 3), np.uint8))
    session = Session(Plan(frozenset({"box"}), rules=True), None)
    tracemalloc.start()
    try:
        assert session.score_pair(pair, "a") == 60
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
