"""`samkit evaluate`: one table, one JSON, curves; what cannot be measured is said."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from samkit.datasets.formats import open_writer
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.evaluation.clicks import box_of
from samkit.masks import rle

NAMES = {
    "clicks": {"c1", "c1_best", "c1_random", "c2", "c3", "c5", "c9", "noc85", "noc90"},
    "box": {"box", "box_jitter", "box_single", "box_refined"},
    "calibration": {"iou_corr"},
    "proposals": {"ar10", "ar100", "ar1000"},
}


@pytest.fixture
def store(here: Path, photograph) -> Path:
    """Two sources, three images of 40 x 60, each with two masks and one that is too small."""
    folder = here / "store"
    with StoreWriter(folder) as writer:
        for seed, name in enumerate(["birds/a", "birds/b", "boats/c"]):
            masks = np.zeros((3, 40, 60), bool)
            masks[0, 10:20, seed : 15 + seed], masks[1, 20:, 30:], masks[2, :5, :5] = (
                True,
                True,
                True,
            )
            path = photograph(here / "photos" / f"{seed}.png", seed)
            writer.write(path, [record(mask) for mask in masks], name=name)
    return folder


def record(mask: np.ndarray) -> dict:
    (segmentation,) = rle.encode(mask[None])
    x0, y0, x1, y1 = box_of(mask)
    return {
        "segmentation": segmentation,
        "area": int(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "predicted_iou": 1.0,
        "stability_score": 1.0,
        "crop_box": [0, 0, mask.shape[1], mask.shape[0]],
        "point_coords": [[x0, y0]],
    }


@pytest.fixture
def bsds(here: Path) -> Path:
    """Two images of a bright half, each drawn by two annotators, one of whom was tired."""
    folder = here / "BSDS500"
    for part in ("images", "groundTruth"):
        (folder / part / "test").mkdir(parents=True)
    drawn = np.zeros((40, 60), bool)
    drawn[:, 29] = True  # the last column of the left half, as BSDS500 has it
    cells = np.empty((1, 2), object)
    cells[0, 0] = {"Segmentation": drawn.astype(np.uint16), "Boundaries": drawn}
    cells[0, 1] = {"Segmentation": drawn.astype(np.uint16), "Boundaries": np.zeros_like(drawn)}
    pixels = np.full((40, 60, 3), 30, np.uint8)
    pixels[:, 30:] = 220
    for name in ("1", "2"):
        Image.fromarray(pixels).save(folder / "images" / "test" / f"{name}.jpg", quality=95)
        scipy.io.savemat(folder / "groundTruth" / "test" / f"{name}.mat", {"groundTruth": cells})
    return folder


def metrics(section: dict) -> set[str]:
    return {name for name in section if not name.endswith("_ci") and name != "bins"}


def test_one_run_gives_table_json_and_curves(tiny, store, samkit) -> None:
    protocols = [word for name in NAMES for word in ("--protocol", name)]
    flags = ["--random-first", "--noc", "--rules", "--points-per-side", 2, "--device", "cpu"]
    out = ["--json", "scores.json", "-o", "curves"]
    done = samkit("evaluate", tiny, "--data", store, protocols, flags, out)
    assert done.code == 0, done.err
    for word in ("c1_random", "noc85", "iou_corr", "ar1000", "birds", "watershed", "felzenszwalb"):
        assert word in done.out
    scores = json.loads(Path("scores.json").read_text())
    for protocol, names in NAMES.items():
        assert metrics(scores[protocol]) == names
        assert metrics(scores["sources"]["boats"][protocol]) == names
        for name in names:
            low, high = scores[protocol][f"{name}_ci"]
            assert low <= scores[protocol][name] + 1e-9 and scores[protocol][name] <= high + 1e-9
    assert scores["about"]["masks"] == 6 and scores["about"]["images"] == 3
    assert scores["sources"]["birds"]["masks"] == 4
    rules = scores["rules"]
    assert metrics(rules["disc"]["clicks"]) == {"c1", "c1_best", "c1_random"}
    assert metrics(rules["watershed"]["clicks"]) == NAMES["clicks"] - {"noc85", "noc90"}
    assert rules["rectangle"]["box"]["box"] == 1.0
    assert "proposals" in rules["felzenszwalb"] and "grabcut" not in rules
    assert {path.name for path in Path("curves").iterdir()} == {"clicks.png", "calibration.png"}
    for path in Path("curves").iterdir():
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width > 500


def test_fewer_clicks_are_the_first_ones(tiny, store, samkit) -> None:
    words = ["evaluate", tiny, "--data", store, "--device", "cpu", "--protocol", "clicks"]
    runs = []
    for clicks in (2, 9):
        assert samkit(*words, "--clicks", clicks, "--json", "s.json").code == 0
        runs.append(json.loads(Path("s.json").read_text())["clicks"])
    assert metrics(runs[0]) == {"c1", "c1_best", "c2"}
    assert all(runs[0][name] == runs[1][name] for name in metrics(runs[0]))
    for clicks in (0, 10):
        done = samkit(*words, "--clicks", clicks)
        assert done.code == 2 and "--clicks takes a number from 1 to 9" in done.err
    done = samkit(*words, "--clicks", 2, "--noc")
    assert done.code == 2 and "leave --clicks out" in done.err


def test_the_default_is_clicks_boxes_and_calibration_and_runs_repeat(tiny, store, samkit) -> None:
    runs = []
    for limit in ([], [], ["--limit-images", 2]):
        words = ["evaluate", tiny, "--data", store, "--device", "cpu", "--json", "s.json", limit]
        assert samkit(words).code == 0
        runs.append(json.loads(Path("s.json").read_text()))
    first, again, fewer = runs
    assert first == again
    assert set(first) == {"clicks", "box", "calibration", "sources", "about"}
    assert fewer["about"]["images"] == 2
    kept = [name for name, row in fewer["sources"].items() if row["masks"] == 4]
    for name in kept:  # an image draws the same noise, whatever others there are
        assert fewer["sources"][name]["box"] == first["sources"][name]["box"]


def test_rules_need_no_model(store, bsds, samkit) -> None:
    data = ["--data", store, "--data", bsds, "--json", "rules.json", "-o", "curves"]
    protocols = ["--protocol", "clicks", "--protocol", "edges"]
    done = samkit("evaluate", "none", data, protocols, "--rules")
    assert done.code == 0, done.err
    scores = json.loads(Path("rules.json").read_text())
    assert "clicks" not in scores and "edges" not in scores
    edges = scores["rules"]["felzenszwalb"]["edges"]
    assert {"ods", "ois", "ap", "r50"} <= set(edges)
    assert edges["ods"] > 0.9 and edges["r50"] == 1.0
    assert Path("curves/edges.png").exists()


def test_the_model_draws_edges(tiny, bsds, samkit) -> None:
    words = ["--data", bsds, "--protocol", "edges", "--device", "cpu", "--json", "edges.json"]
    done = samkit("evaluate", tiny, words, "--limit-images", 1)
    assert done.code == 0, done.err
    edges = json.loads(Path("edges.json").read_text())["edges"]
    assert edges["images"] == 1 and 0 <= edges["ods"] <= 1


@pytest.mark.parametrize("format", ["coco", "labelme", "masks"])
def test_other_formats_are_scored_as_the_store_is(store, format: str, samkit) -> None:
    if format == "masks":
        for document in store.rglob("*.json"):
            pair = StoreReader(store)[document.relative_to(store).with_suffix("").as_posix()]
            path = Path("other/masks", pair.name).with_suffix(".png")
            picture = np.zeros(pair.info.size, np.uint8)
            for value, mask in enumerate(pair.masks()[:2], 1):  # the third, too small, lies below
                picture[mask] = value
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            image = Path("other/images", pair.name).with_suffix(".png")
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pair.image()).save(image)
    else:
        with open_writer(format, "other", copy_images=True) as writer:
            for pair in StoreReader(store):
                writer.write(pair.source, pair.records, name=pair.name, size=pair.info.size)
    words = ["evaluate", "none", "--rules", "--protocol", "clicks", "--json", "s.json"]
    scores = []
    for data in (store, "other"):
        done = samkit(*words, "--data", data)
        assert done.code == 0, done.err
        scores.append(json.loads(Path("s.json").read_text()))
    assert scores[0]["rules"] == scores[1]["rules"]
    assert scores[0]["sources"] == scores[1]["sources"] and set(scores[0]["sources"]) == {
        "birds",
        "boats",
    }


def test_images_in_no_folder_are_a_source_of_their_dataset_s_name(store, samkit) -> None:
    words = ["--data", store / "birds", "--data", store / "boats", "--json", "s.json"]
    done = samkit("evaluate", "none", "--rules", "--protocol", "clicks", words)
    assert done.code == 0, done.err
    sources = json.loads(Path("s.json").read_text())["sources"]
    assert {name: row["masks"] for name, row in sources.items()} == {"birds": 4, "boats": 2}


def test_images_that_cannot_be_read_are_named_and_the_others_go_on(store, samkit) -> None:
    (store / "birds" / "a.png").write_bytes(b"no picture")
    done = samkit("evaluate", "none", "--data", store, "--rules", "--json", "s.json")
    assert done.code == 1
    assert "birds/a" in done.err and "[3/3]" in done.err
    about = json.loads(Path("s.json").read_text())["about"]
    assert (about["images"], about["images_failed"], about["masks"]) == (2, 1, 4)


def test_broken_masks_and_tars_are_named_and_counted(store, samkit) -> None:
    document = json.loads((store / "birds" / "a.json").read_text())
    document["annotations"][1]["segmentation"]["counts"] = "no code"
    (store / "birds" / "a.json").write_text(json.dumps(document))
    words = ["evaluate", "none", "--rules", "--json", "s.json"]
    done = samkit(*words, "--data", store)
    assert done.code == 1
    assert done.err.count("Left out: birds/a annotation 1: ") == 1
    about = json.loads(Path("s.json").read_text())["about"]
    assert (about["images_failed"], about["left_out"], about["masks"]) == (0, 1, 5)

    Path("tars").mkdir()
    with tarfile.open("tars/1.tar", "w") as tar:
        for file in sorted((store / "boats").iterdir()):
            tar.add(file, file.name)
    whole = Path("tars/1.tar").read_bytes()
    Path("tars/0.tar").write_bytes(whole[:700])
    done = samkit(*words, "--data", "tars")
    assert done.code == 1
    assert done.err.count("Left out: tars/0.tar: ") == 1
    assert json.loads(Path("s.json").read_text())["about"]["left_out"] == 1
    Path("tars/1.tar").unlink()
    done = samkit(*words, "--data", "tars")
    assert done.code == 2 and "There is no image in tars. Left out: tars/0.tar: " in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none", "--data", "store"], "add --rules"),
        (["none", "--data", "store", "--rules", "--protocol", "calibration"], "needs a model"),
        (["default", "--data", "store", "--protocol", "text"], "text route"),
        (["default", "--data", "nowhere"], "There is no file or folder nowhere"),
        (["default", "--data", "store", "--protocol", "edges"], "laid out as BSDS500"),
        (["default", "--data", "BSDS500"], "laid out as BSDS500"),
        (["default", "--data", "store", "--limit-images", "0"], "--limit-images"),
        (["default", "--data", "store", "--points-per-side", "0"], "--points-per-side"),
        (["nothing.pt", "--data", "store"], "nothing.pt"),
        (["none", "--rules", "--data", "store", "--least-pixels", "9999"], "Nothing was scored"),
        (["none", "--rules", "--data", "store", "--json", "store"], "store is a folder"),
        (["none", "--rules", "--data", "store", "--json", "file/s.json"], "Cannot write file/s"),
        (["none", "--rules", "--data", "store", "-o", "file"], "Cannot write file/clicks.png"),
        (["none", "--rules", "--data", "empty"], "empty holds no labelled images of a known kind"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(words, sentence, store, bsds, samkit) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    done = samkit("evaluate", words)
    assert done.code == 2
    assert "[1/3]" not in done.err or "9999" in words  # known before the first image
    lines = [line for line in done.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1 and sentence in lines[0]
    assert not done.out


def test_help_shows_an_example_and_does_not_load_torch() -> None:
    code = """
        import sys
        from samkit.cli.main import main
        assert main(["evaluate", "--help"]) == 0
        assert "torch" not in sys.modules
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Example: samkit evaluate" in done.stdout
