"""YOLO's labels as others write them, broken ones, and the names of classes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from samkit.datasets.formats import open_writer
from samkit.datasets.opening import open_dataset
from samkit.datasets.records import from_mask
from samkit.datasets.yolo_names import data_yaml, read_names
from samkit.datasets.yolo_reader import YoloReader
from samkit.errors import FormatError, UsageError


@pytest.fixture
def dataset(tmp_path, photo):
    """images/photo.jpg, and a function that writes its labels."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "images/photo.jpg").write_bytes(photo.read_bytes())

    def write(*lines):
        (folder / "labels/photo.txt").write_text("\n".join(lines) + "\n")
        return folder

    return write


HALF = "0 0 0 0.5 0 0.5 1 0 1"


def test_corners_are_fractions_and_without_names_the_label_is_the_number(dataset):
    reader = open_dataset(dataset(HALF, "", "7 0.5 0 1 0 1 1"))
    assert isinstance(reader, YoloReader)
    (pair,) = reader
    left, triangle = pair.masks()
    assert left[:, :32].all() and not left[:, 32:].any()
    assert abs(triangle.sum() / (48 * 16) - 1) < 0.05
    assert [r["samkit"]["labels"] for r in pair.records] == [["0"], ["7"]]
    assert reader.broken == []


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("0 0.5 0.5 0.2 0.2", "box"),
        ("0 0 0 1 1 0", "each corner"),
        ("0 0 0", "three corners"),
        ("cat 0 0 1 0 1 1", "a class and numbers"),
        ("0 0 0 1 0 1 one", "a class and numbers"),
        ("-1 0 0 1 0 1 1", "from 0"),
        ("0 0 0 nan 0 1 1", "not finite"),
        ("0 0 0 inf 0 1 1", "not finite"),
        ("0 0 0 1e9 0 1 1", "far outside"),
        ("0 2 2 3 2 3 3", "no pixel"),
        ("9" * 5000 + " 0 0 1 0 1 1", "a class and numbers"),
        ("\x00\udcff 0 0 1 0 1 1".encode("utf-8", "surrogateescape").decode("latin-1"), "numbers"),
    ],
)
def test_a_line_that_makes_no_mask_is_named_and_the_others_are_read(dataset, line, word):
    reader = open_dataset(dataset(line, HALF))
    (pair,) = reader
    assert len(pair.records) == 1
    ((name, sentence),) = reader.broken
    assert name == "photo line 1" and word in sentence


def test_images_without_labels_have_no_masks_and_labels_without_image_are_named(dataset, photo):
    folder = dataset(HALF)
    (folder / "images/sub").mkdir()
    (folder / "images/sub/b.jpg").write_bytes(photo.read_bytes())
    (folder / "images/damaged.jpg").write_bytes(b"no picture")
    (folder / "labels/alone.txt").write_text(HALF)
    reader = YoloReader(folder)
    assert {pair.name: len(pair.records) for pair in reader} == {"photo": 1, "sub/b": 0}
    assert {name for name, _ in reader.broken} == {"alone", "damaged"}


def test_pillows_own_limit_of_pixels_does_not_count(dataset, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (pair,) = open_dataset(dataset(HALF))
    assert pair.info.size == (48, 64)


def test_fractions_are_of_the_image_as_it_is_shown(dataset):
    folder = dataset(HALF)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (64, 48)).save(folder / "images/photo.jpg", exif=exif)
    (pair,) = YoloReader(folder)
    assert pair.info.size == pair.image().shape[:2] == (64, 48)
    assert pair.mask(0)[:, :24].all() and pair.records[0]["area"] == 64 * 24


def test_crowds_and_empty_masks_are_left_out_and_counted(tmp_path, photo, masks):
    records = [
        from_mask(masks[0], 1, samkit={"crowd": True}),
        from_mask(masks[0] & False, 2),
        from_mask(masks[1], 3),
    ]
    with open_writer("yolo", tmp_path / "out", copy_images=True) as writer:
        writer.write(photo, records)
    assert writer.losses == {"crowd regions": 1, "masks without a pixel": 1}
    (pair,) = open_dataset(tmp_path / "out")
    assert np.array_equal(pair.masks(), masks[1:2])


def test_classes_keep_their_numbers_when_images_are_added(tmp_path, photo, masks):
    for name, label in (("a", "zebra"), ("b", "ant"), ("c", "zebra")):
        with open_writer("yolo", tmp_path, copy_images=True) as writer:
            writer.write(photo, [from_mask(masks[0], 1, samkit={"labels": [label]})], name=name)
    labels = [pair.records[0]["samkit"]["labels"] for pair in open_dataset(tmp_path)]
    assert labels == [["zebra"], ["ant"], ["zebra"]]
    assert (tmp_path / "labels/c.txt").read_text().startswith("0 ")


def test_somebody_elses_data_yaml_is_not_overwritten(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [a]\n")
    with pytest.raises(UsageError, match=r"data\.yaml"):
        open_writer("yolo", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "names: [cat, 'big dog', \"a, b\"]",
        "path: x\nnames:\n  - cat  # purrs\n  - big dog\n  - 'a, b'\nnc: 3",
        'names:\n- cat\n- big dog\n- "a, b"\ntrain: x',
        "names:\n  0: cat\n\n  # more\n  1: big dog\n  2: a, b\nnc: 3",
        "nc: 3\nnames: {0: cat, 1: 'big dog', 2: \"a, b\"}",
        "names: [\n  'cat',\n  'big dog', # the second\n  'a, b'\n]",
        '\ufeffnames: ["\\x63at", "big\\U00000020dog", "a, b"]',
    ],
)
def test_names_are_found_however_they_are_written(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    assert read_names(tmp_path / "data.yaml") == {0: "cat", 1: "big dog", 2: "a, b"}


@pytest.mark.parametrize(
    "text",
    [
        "names: [a, [b]]",
        "names: [a",
        "names: !!python/object:os.system x",
        "names: &a x",
        "names:\n  0: 'a",
        "names:\n  ? x",
        "names: {a: b}",
        "names: {99999999: b}",
        'names: ["\\ud800"]',
        'names: ["\\UFFFFFFFF"]',
    ],
)
def test_names_that_cannot_be_understood_are_named_and_numbers_stay(tmp_path, dataset, text):
    folder = dataset(HALF)
    (folder / "data.yaml").write_text(text)
    with pytest.raises(FormatError, match=r"data\.yaml"):
        read_names(folder / "data.yaml")
    reader = YoloReader(folder)
    (pair,) = reader
    assert pair.records[0]["samkit"]["labels"] == ["0"]
    assert [name for name, _ in reader.broken] == ["names"]


@pytest.mark.parametrize("place", ["classes.txt", "../classes.txt", "labels/classes.txt"])
def test_names_may_be_lines_and_lie_one_folder_above_or_among_the_labels(dataset, place):
    folder = dataset(HALF)
    (folder / place).write_text("cat\ndog\n")
    reader = YoloReader(folder)
    (pair,) = reader
    assert pair.records[0]["samkit"]["labels"] == ["cat"] and reader.broken == []


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), max_size=4))
def test_names_that_we_write_are_read_back_also_by_a_reader_of_json(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("names") / "data.yaml"
    path.write_text(data_yaml(names), encoding="utf-8")
    assert read_names(path) == dict(enumerate(names))
    rows = data_yaml(names).splitlines()[4:]
    assert [json.loads(row.split(": ", 1)[1]) for row in rows] == names
