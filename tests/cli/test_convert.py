"""`samkit convert`: from any format into any other, again, and over what is broken."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samkit.cli.convert_marks import Marks
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


@pytest.mark.parametrize("format", ["parquet", "webdataset"])
def test_images_cannot_be_left_out_where_the_files_hold_them(format, store, samkit):
    done = samkit("convert", store, "-o", "out", "--format", format, "--no-images")
    assert done.code == 2 and f"--no-images does not go with --format {format}" in done.err
    assert not Path("out").exists()


def test_an_image_whose_upright_size_is_not_its_records_is_named(here, photograph, samkit):
    """As of a JPEG that a viewer turns, with the sizes of the pixels as they are stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(here / "turned.jpg", exif=exif)
    photograph(here / "b.jpg")
    square = [[5, 5, 30, 5, 30, 20, 5, 20]]
    value = {
        "images": [
            {"id": k, "file_name": name, "width": 60, "height": 40}
            for k, name in enumerate(("turned.jpg", "b.jpg"))
        ],
        "annotations": [{"id": k, "image_id": k, "segmentation": square} for k in (0, 1)],
    }
    (here / "coco.json").write_text(json.dumps(value))
    done = samkit("convert", "coco.json", "-o", "out", "--format", "sa1b")
    assert done.code == 1 and "1 mask of 1 image (sa1b); 1 thing broken" in done.out
    assert "turned.jpg has 40 x 60 pixels, but its records say 60 x 40" in done.err
    assert not Path("out/turned.json").exists() and Path("out/b.json").exists()


def test_records_that_changed_are_converted_anew_and_the_others_not(store, samkit):
    words = ["convert", store, "-o", "out", "--format", "coco"]
    samkit(words)
    value = json.loads((store / "a.json").read_text())
    value["annotations"][0]["predicted_iou"] = 0.75
    (store / "a.json").write_text(json.dumps(value))
    done = samkit(words)
    assert done.code == 0 and "2 masks of 1 image (coco); 1 image done before" in done.out
    assert open_dataset("out")["a"].records[0]["predicted_iou"] == 0.75
    assert "2 images done before" in samkit(words).out


@pytest.mark.parametrize("format", ["yolo", "parquet"])
def test_an_image_that_was_replaced_is_converted_anew(format, store, samkit, photograph):
    words = ["convert", store, "-o", "out", "--format", format]
    samkit(words)
    before = open_dataset("out")["a"].image()
    photograph(store / "a.png", 5)
    assert f"2 masks of 1 image ({format}); 1 image done before" in samkit(words).out
    after = open_dataset("out")["a"].image()
    assert not np.array_equal(before, after)
    assert np.array_equal(after, open_dataset("store")["a"].image())


def test_other_images_and_another_reading_do_not_go_into_the_same_folder(store, samkit, photograph):
    samkit("convert", store, "-o", "coco", "--format", "coco")
    for name in ("a.png", "sub/b.png"):
        photograph(Path("other") / name, 9)
    words = ["convert", "coco/instances.json", "-o", "out", "--format", "labelme"]
    assert samkit(words).code == 0
    for more in (["--images", "other"], ["--from", "coco"]):
        done = samkit(words, more)
        assert done.code == 2 and "something else or otherwise" in done.err
    assert "2 images done before" in samkit(words).out


def test_an_output_that_was_not_finished_is_not_taken_for_that_of_before(
    store, samkit, monkeypatch
):
    """Its source changed, the next run was killed in the middle, and the source changed back."""
    words = ["convert", store, "-o", "out", "--format", "labelme"]
    samkit(words)
    first, when = (store / "a.json").read_bytes(), os.stat(store / "a.png")
    (store / "a.json").write_bytes(first.replace(b"thing 0", b"other 0"))
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Marks, "set", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        samkit(words)
    (store / "a.json").write_bytes(first)
    os.utime(store / "a.png", ns=(when.st_atime_ns, when.st_mtime_ns))
    assert "1 image (labelme); 1 image done before" in samkit(words).out
    assert open_dataset("out")["a"].records[0]["samkit"]["labels"][0] == "thing 0"


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
