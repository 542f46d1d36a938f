"""`samkit convert`: from any format into any other, again, and over what is broken."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from samkit.datasets.formats import FORMATS
from samkit.datasets.opening import open_dataset
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter


@pytest.fixture
def masks():
    """A block, and a smaller one on it."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:30, 5:40], masks[1, 10:20, 10:20] = True, True
    return masks


@pytest.fixture
def store(here: Path, photograph, masks) -> Path:
    """Two photographs with two masks each, their labels and scores."""
    records = [
        from_mask(mask, k, predicted_iou=0.5, samkit={"labels": [f"thing {k}", "all"]})
        for k, mask in enumerate(masks)
    ]
    with StoreWriter(here / "store") as writer:
        for name in ("a", "sub/b"):
            writer.write(photograph(here / "p.png"), records, name=name)
    return Path("store")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_and_a_second_run_has_nothing_to_do(format, store, samkit):
    done = samkit("convert", store, "-o", "out", "--format", format)
    assert done.code == 0, done.err
    assert f"4 masks of 2 images ({format})" in done.out
    again = samkit("convert", store, "-o", "out", "--format", format)
    assert again.code == 0 and "2 images done before" in again.out
    assert "lost" not in again.out


def test_what_was_lost_is_said(store, samkit):
    done = samkit("convert", store, "-o", "voc", "--format", "voc")
    assert done.out.splitlines()[1] == (
        "voc cannot hold everything, this was lost: 200 pixels under other masks, "
        "4 labels after a mask's first, 4 masks' scores."
    )
    assert len(samkit("convert", store, "-o", "coco", "--format", "coco").out.splitlines()) == 1


def test_round_the_houses_nothing_is_lost(store, samkit, masks):
    way = ("coco", "parquet", "labelme", "webdataset", "coco-polygons", "sa1b")
    for before, after in zip(("store", *way), way, strict=False):
        done = samkit("convert", before, "-o", after, "--format", after)
        assert (done.code, len(done.out.splitlines())) == (0, 1), done
    for name in ("a", "sub/b"):
        pair, first = open_dataset("sa1b")[name], open_dataset("store")[name]
        assert np.array_equal(pair.masks(), masks)
        assert np.array_equal(pair.image(), first.image())
        for again, record in zip(pair.records, first.records, strict=True):
            assert {**again, "id": 0} == {**record, "id": 0}


def test_several_datasets_go_into_folders_of_their_names(store, samkit):
    samkit("convert", store, "-o", "yolo", "--format", "yolo")
    done = samkit("convert", store, "yolo", "-o", "both", "--format", "coco")
    assert done.code == 0
    assert open_dataset("both").names == ["store/a", "store/sub/b", "yolo/a", "yolo/sub/b"]
    done = samkit("convert", store, store, "-o", "twice", "--format", "coco")
    assert done.code == 2 and "one by one" in done.err and not Path("twice").exists()


def test_what_is_broken_is_named_and_the_rest_goes_on(store, samkit):
    (store / "a.json").write_text("{")
    value = json.loads((store / "sub/b.json").read_text())
    value["annotations"][0]["segmentation"]["counts"] = "0"
    (store / "sub/b.json").write_text(json.dumps(value))
    done = samkit("convert", store, "-o", "out", "--format", "yolo")
    assert done.code == 1
    assert "1 mask of 1 image (yolo); 2 things broken, named above" in done.out
    assert "a.json" in done.err and "b.json" in done.err


def test_masks_alone_where_images_shall_stay(store, samkit):
    done = samkit("convert", store, "-o", "out", "--format", "labelme", "--no-images")
    assert done.code == 0
    assert {p.name for p in Path("out").rglob("*.*") if p.is_file()} >= {"a.json", "b.json"}
    assert not list(Path("out").rglob("*.png"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "-o", "out", "--format", "coco"], "no file or folder nowhere"),
        (["store", "-o", "store", "--format", "coco"], "overlap"),
        (["store", "-o", "store/out", "--format", "coco"], "overlap"),
        (["store", "-o", "full", "--format", "coco"], "not empty"),
        (["store", "-o", "out", "--format", "kitti"], '"kitti" for --format'),
        (["store", "-o", "out", "--format", "coco", "--from", "voc"], "SegmentationObject"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_code_2(words, said, store, samkit):
    Path("full").mkdir()
    Path("full/mine.txt").write_text("x")
    done = samkit("convert", words)
    assert done.code == 2
    assert said in done.err and done.err.count("\n") == 1
    assert Path("full/mine.txt").read_text() == "x"


def test_another_dataset_does_not_go_into_the_same_folder(store, samkit):
    samkit("convert", store, "-o", "out", "--format", "labelme")
    samkit("convert", store, "-o", "coco", "--format", "coco")
    done = samkit("convert", "coco", "-o", "out", "--format", "labelme")
    assert done.code == 2 and "something else" in done.err
    done = samkit("convert", store, "-o", "out", "--format", "labelme", "--force")
    assert done.code == 0 and "4 masks of 2 images" in done.out


def test_help_shows_an_example_and_does_not_wait_for_torch():
    code = (
        "import sys; from samkit.cli.main import main\n"
        "main(['convert', '--help']); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: samkit convert" in done.stdout
