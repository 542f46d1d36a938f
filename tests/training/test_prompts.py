"""Prompts drawn from masks lie where they should."""

import numpy as np
import pytest
import torch

from samkit.evaluation.clicks import box_of
from samkit.training import prompts


@pytest.fixture
def ring() -> np.ndarray:
    rows, cols = np.ogrid[:60, :80]
    distance = np.hypot(rows - 30, cols - 40)
    return (distance < 22) & (distance > 10)


def test_inner_points_keep_away_from_the_border(ring: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = prompts.inner_point(ring, rng)
        assert ring[y - 3 : y + 4, x - 3 : x + 4].mean() > 0.9


def test_random_points_reach_all_of_the_mask(ring: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    points = {prompts.random_point(ring, rng) for _ in range(4000)}
    assert all(ring[y, x] for x, y in points)
    assert len(points) > 0.85 * ring.sum()


def test_box_noise_is_a_tenth_of_the_side_and_at_most_20_pixels() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[300:700, 450:550] = True  # 100 wide, 400 high
    rng = np.random.default_rng(0)
    moved = np.array([prompts.noisy_box(mask, rng) for _ in range(2000)]) - [450, 300, 549, 699]
    assert np.abs(moved).max() <= 20
    assert moved[:, 0].std() == pytest.approx(9.4, abs=0.5)  # 10, cut at 2 sigma
    assert (np.abs(moved[:, 1]) == 20).mean() == pytest.approx(0.617, abs=0.05)  # sigma is 40


def test_a_box_without_noise_is_the_box_that_is_given_in_use() -> None:
    mask = np.zeros((40, 60), bool)
    mask[7:31, 12:45] = True
    box = prompts.noisy_box(mask, np.random.default_rng(0), 0.0)
    assert box.tolist() == list(box_of(mask)) == [12, 7, 44, 30]


def test_corrective_points_fall_into_the_error_with_its_label() -> None:
    truth = torch.zeros(2, 32, 32, dtype=torch.bool)
    truth[:, 8:24, 8:24] = True
    logits = torch.where(truth, 5.0, -5.0)
    logits[0, 8:24, 8:14] = -5.0  # missed on the left
    logits[1, 0:6, 0:20] = 5.0  # exceeded at the top
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        points, labels = prompts.corrective_points(logits, truth, generator)
        assert labels.tolist() == [1, 0]
        assert 8 <= points[0, 0] < 14 and 8 <= points[0, 1] < 24
        assert points[1, 0] < 20 and points[1, 1] < 6


def test_a_perfect_prediction_gets_a_point_of_the_mask() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.bool)
    truth[0, 3:6, 4:9] = True
    points, labels = prompts.corrective_points(
        torch.where(truth, 1.0, -1.0), truth, torch.Generator()
    )
    x, y = points[0].long().tolist()
    assert truth[0, y, x] and labels.tolist() == [1]


def test_corrective_points_are_uniform_over_the_error() -> None:
    truth = torch.zeros(1, 8, 8, dtype=torch.bool)
    truth[0, 2:4, 1:7] = True  # 12 pixels, all missed
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(8, 8)
    for _ in range(2400):
        points, _ = prompts.corrective_points(torch.full((1, 8, 8), -1.0), truth, generator)
        x, y = points[0].long().tolist()
        counts[y, x] += 1
    assert counts[~truth[0]].sum() == 0
    assert counts[truth[0]].min() > 140 and counts[truth[0]].max() < 260  # 200 each


def test_the_papers_rounds_are_eleven_with_two_that_bring_no_point() -> None:
    rng = np.random.default_rng(0)
    places = set()
    for _ in range(200):
        rounds = prompts.point_rounds((0,) * 8 + (1,), 2, rng)
        assert 1 + len(rounds) == 11 and sum(rounds) == 8 and rounds[-1] is False
        places.add(rounds.index(False))
    assert places == set(range(9))


def test_corrective_points_never_fall_on_padding() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.bool)
    logits = torch.ones(1, 16, 16)  # wrong everywhere, but only 5 x 9 cells are image
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        points, labels = prompts.corrective_points(logits, truth, generator, shown=(5, 9))
        assert points[0, 0] < 9 and points[0, 1] < 5 and labels.tolist() == [0]
