"""Edge maps, their matching and their scores, on hand-made cases; files of BSDS500's layout."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.optimize
from PIL import Image

from samkit.errors import FormatError, UsageError
from samkit.evaluation.bsds500 import is_layout, read_layout
from samkit.evaluation.edge_maps import border_strength, edges_of_regions, thin_edges
from samkit.evaluation.edge_matching import MAX_DISTANCE, THRESHOLDS, count_matches
from samkit.evaluation.edge_scores import best_threshold, edge_scores

SIZE = (300, 400)  # a diagonal of 500, so that pixels match up to 3.75 apart


def line(row: int, start: int = 50, stop: int = 150) -> np.ndarray:
    drawn = np.zeros(SIZE, bool)
    drawn[row, start:stop] = True
    return drawn


def counts_at_half(edges: np.ndarray, truths: list[np.ndarray]) -> list[int]:
    return count_matches(edges.astype(float), truths, np.array([0.5]))[0].tolist()


def test_a_line_matches_itself_and_one_three_pixels_away_but_not_four() -> None:
    assert counts_at_half(line(100), [line(100)]) == [100, 100, 100, 100]
    assert counts_at_half(line(103), [line(100)]) == [100, 100, 100, 100]
    assert counts_at_half(line(104), [line(100)]) == [0, 100, 0, 100]


def test_a_pixel_is_matched_only_once() -> None:
    both = line(100) | line(103)
    assert counts_at_half(both, [line(101)]) == [100, 100, 100, 200]
    assert counts_at_half(line(101), [both]) == [100, 200, 100, 100]


def test_ends_of_a_line_reach_as_far_as_the_distance_does() -> None:
    found, _, right, edges = counts_at_half(line(100, 50, 110), [line(100, 100, 160)])
    assert (found, right, edges) == (13, 13, 60)  # ten shared, three more within reach


def test_precision_counts_what_any_annotator_drew_and_recall_what_all_did() -> None:
    edges = line(50) | line(100) | line(150)
    counts = counts_at_half(edges, [line(50) | line(200), line(50) | line(100)])
    assert counts == [100 + 200, 400, 200, 300]


@pytest.mark.parametrize("seed", range(4))
def test_as_many_pairs_as_a_dense_assignment_finds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    edges, truth = (np.zeros(SIZE, bool) for _ in range(2))
    edges[tuple(generator.integers(100, 130, (2, 60)))] = True
    truth[tuple(generator.integers(100, 130, (2, 60)))] = True
    from skimage.morphology import thin

    a, b = np.argwhere(thin(edges)), np.argwhere(truth)
    distances = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    near = distances <= MAX_DISTANCE * 500
    rows, cols = scipy.optimize.linear_sum_assignment(np.where(near, distances, 375))
    assert counts_at_half(edges, [truth])[0] == near[rows, cols].sum()


def test_thresholds_are_nested_and_thick_edges_are_thinned() -> None:
    edges = np.zeros(SIZE)
    edges[100, 50:150] = 0.755
    edges[100, 50:100] = 0.305
    edges[199:202, 50:150] = 0.305  # three pixels thick
    counts = count_matches(edges, [line(100)])
    assert counts.shape == (99, 4) and THRESHOLDS[74] == 0.75
    assert counts[74].tolist() == [50, 100, 50, 50]
    assert counts[75].tolist() == [0, 100, 0, 0]
    assert counts[29, 0] == 100 and 190 <= counts[29, 3] <= 200
    assert (counts[30:75] == counts[74]).all()


def test_scores_of_a_perfect_detector_are_one() -> None:
    counts = np.tile([100, 100, 80, 80], (99, 1))
    scores = edge_scores(counts, counts[0])
    assert scores["ods"] == scores["ois"] == pytest.approx(1)
    counts[:, 0] = np.arange(99) + 1  # recall from .01 to .99, precision 1
    assert edge_scores(counts, counts[0])["ap"] == pytest.approx(0.99)
    assert edge_scores(counts, counts[0])["r50"] == pytest.approx(0.01)


def test_scores_of_hand_made_counts() -> None:
    # precision .2, .5, 1 at recall .8, .6, .2
    counts = np.array([[80, 100, 20, 100], [60, 100, 30, 60], [20, 100, 10, 10]])
    scores = edge_scores(counts, counts[1])
    assert scores["ois"] == pytest.approx(2 * 0.5 * 0.6 / 1.1)
    assert scores["ods"] >= scores["ois"], "between thresholds it may be better"
    assert scores["r50"] == pytest.approx(0.6)
    # Mean of the broken line over recalls of .20 to .80, by the trapezoids' 61 points.
    upper, lower = np.linspace(1, 0.5, 41), np.linspace(0.5, 0.2, 21)[1:]
    assert scores["ap"] == pytest.approx((upper.sum() + lower.sum()) / 100)
    assert best_threshold(counts) == 1


def test_a_border_is_strong_at_the_outer_border_alone() -> None:
    logits = np.full((60, 60), -6, np.float32)
    logits[10:50, 10:60] = 6  # up to the image's right end
    logits[25:35, 25:35] = -6  # a hole
    strength = border_strength(logits)
    assert strength[30, 9] > 3 and strength[30, 10] > 3 and strength[9, 40] > 3
    assert strength[22:38, 22:38].max() == 0, "holes"
    assert strength[30, 57:].max() == 0, "the image's end"
    assert strength[:7].max() == 0
    soft = border_strength(logits / 6)
    assert 0 < soft[30, 10] < strength[30, 10]


def test_thin_edges_are_the_crest_in_every_direction() -> None:
    y, x = np.mgrid[:80, :80].astype(np.float32)
    for angle in np.deg2rad([0, 30, 45, 90, 120]):
        across = (x - 40) * np.cos(angle) + (y - 40) * np.sin(angle)
        thin = thin_edges(np.exp(-(across**2) / 8).astype(np.float32))
        kept = (thin > 0.05)[10:70, 10:70]
        assert np.abs(across[10:70, 10:70][kept]).max() <= 0.75
        assert kept.sum() >= 55


def test_region_borders_lie_where_the_colour_changes() -> None:
    image = np.full((60, 80, 3), 40, np.uint8)
    image[:, 40:] = 200
    edges = edges_of_regions(image)
    assert edges.max() == 1
    assert (edges[5:55].argmax(1) >= 38).all() and (edges[5:55].argmax(1) <= 40).all()
    assert np.count_nonzero(edges[30] > 0.5) <= 2


def write_annotated(folder: Path, name: str, drawn: list[np.ndarray], split: str = "test") -> None:
    for part in ("images", "groundTruth"):
        (folder / part / split).mkdir(parents=True, exist_ok=True)
    height, width = drawn[0].shape
    Image.new("RGB", (width, height)).save(folder / "images" / split / f"{name}.jpg")
    cells = np.empty((1, len(drawn)), object)
    for k, edges in enumerate(drawn):
        cells[0, k] = {"Segmentation": edges.astype(np.uint16), "Boundaries": edges}
    scipy.io.savemat(folder / "groundTruth" / split / f"{name}.mat", {"groundTruth": cells})


@pytest.mark.parametrize("split", ["test", ""])
def test_the_layout_is_read_with_every_annotator(tmp_path: Path, split: str) -> None:
    drawn = [line(10), line(20)]
    write_annotated(tmp_path, "b", drawn, split)
    write_annotated(tmp_path, "a", drawn[:1], split)
    assert is_layout(tmp_path) and not is_layout(tmp_path / "images")
    first, second = read_layout(tmp_path)
    assert (first.name, second.name) == ("a", "b")
    assert second.image().shape == (*SIZE, 3)
    read = second.boundaries(SIZE)
    assert len(read) == 2 and all((a == b).all() for a, b in zip(read, drawn, strict=True))


def test_annotations_that_are_missing_or_of_another_size_are_named(tmp_path: Path) -> None:
    write_annotated(tmp_path, "a", [line(10)])
    (one,) = read_layout(tmp_path)
    with pytest.raises(FormatError, match=r"a\.mat has boundaries of"):
        one.boundaries((300, 401))
    one.annotations.unlink()
    with pytest.raises(UsageError, match=r"a\.mat is missing"):
        read_layout(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "other", "text"])
def test_damaged_annotations_are_one_sentence(tmp_path: Path, damage: str) -> None:
    write_annotated(tmp_path, "a", [line(10)])
    (one,) = read_layout(tmp_path)
    whole = one.annotations.read_bytes()
    if damage == "other":
        scipy.io.savemat(one.annotations, {"groundTruth": np.arange(4)})
    elif damage == "text":
        cells = np.empty((1, 1), object)
        cells[0, 0] = {"Boundaries": "nothing"}
        scipy.io.savemat(one.annotations, {"groundTruth": cells})
    else:
        noise = np.random.default_rng(0).bytes(300)
        data = {"empty": b"", "noise": whole[:128] + noise, "cut": whole[: len(whole) // 2]}[damage]
        one.annotations.write_bytes(data)
    with pytest.raises(FormatError) as error:
        one.boundaries(SIZE)
    assert "a.mat" in str(error.value) and "\n" not in str(error.value)


def test_the_layout_of_the_shared_folder_is_read(shared: Path) -> None:
    annotated = read_layout(shared / "data" / "bsds500-test")
    assert len(annotated) == 100
    drawn = annotated[0].boundaries(annotated[0].image().shape[:2])
    assert len(drawn) >= 4 and all(one.any() for one in drawn)
