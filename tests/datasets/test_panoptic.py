"""COCO panoptic as others write it, and what is broken."""

import json

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.opening import open_dataset
from samkit.datasets.panoptic_reader import PanopticReader
from samkit.errors import UsageError

BIG = 0xC3 + 256 * 0xA5 + 65536 * 0xF7


@pytest.fixture
def value():
    """One image, with a thing, some stuff, and a crowd."""
    segments = [
        {"id": BIG, "category_id": 1, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]},
        {"id": 2, "category_id": 200, "iscrowd": 0},
        {"id": 9, "category_id": 1, "iscrowd": 1},
    ]
    return {
        "images": [{"id": 4, "width": 64, "height": 48, "file_name": "photo.jpg"}],
        "annotations": [{"image_id": 4, "file_name": "photo.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}, {"id": 200, "name": "sky"}],
    }


@pytest.fixture
def write(tmp_path, photo, masks):
    """Writes it as COCO lays it out, and returns the JSON's path."""

    def lay_out(value):
        folder = tmp_path / "set/annotations"
        (folder / "panoptic_val2017").mkdir(parents=True, exist_ok=True)
        (tmp_path / "set/val2017").mkdir(exist_ok=True)
        (tmp_path / "set/val2017/photo.jpg").write_bytes(photo.read_bytes())
        colours = np.zeros((48, 64, 3), np.uint8)
        colours[masks[0]], colours[masks[1]] = (2, 0, 0), (0xC3, 0xA5, 0xF7)
        colours[masks[2]] = (9, 0, 0)
        Image.fromarray(colours).save(folder / "panoptic_val2017/photo.png")
        (folder / "panoptic_val2017.json").write_text(json.dumps(value))
        return folder / "panoptic_val2017.json"

    return lay_out


def test_segments_are_masks_with_the_names_of_their_categories(tmp_path, write, value, masks):
    file = write(value)
    for path in (file, tmp_path / "set"):
        reader = open_dataset(path)
        assert isinstance(reader, PanopticReader)
        (pair,) = reader
        assert np.array_equal(pair.masks(), [masks[1], masks[0] & ~masks[1]])
        assert [r["samkit"]["labels"] for r in pair.records] == [["cat"], ["sky"]]
        assert pair.records[0]["area"] == masks[1].sum()  # counted, not believed
        assert pair.image().shape == (48, 64, 3) and reader.broken == []
    (pair,) = open_dataset(file, keep_crowds=True)
    assert pair.records[2]["samkit"] == {"labels": ["cat"], "crowd": True}


@pytest.mark.parametrize("segment", [7, {}, {"id": "2"}, {"id": 0}, {"id": -2}, {"id": 77}])
def test_a_segment_that_makes_no_mask_is_named_and_the_others_are_read(write, value, segment):
    value["annotations"][0]["segments_info"].insert(0, segment)
    reader = open_dataset(write(value))
    (pair,) = reader
    assert len(pair.records) == 2
    assert [name for name, _ in reader.broken] == ["annotation 0 segment 0"]


@pytest.mark.parametrize(
    "change",
    [
        {"file_name": "../../etc/passwd"},
        {"file_name": "/etc/passwd"},
        {"file_name": "gone.png"},
        {"file_name": None},
        {"segments_info": None},
        {"segments_info": {}},
    ],
)
def test_an_annotation_that_makes_no_sense_is_named(write, value, change):
    value["annotations"][0].update(change)
    reader = PanopticReader(write(value))
    assert list(reader) == []
    assert [name for name, _ in reader.broken] == ["photo"]


def test_a_picture_of_another_size_is_refused_before_it_is_decoded(write, value):
    value["images"][0]["width"] = 65
    reader = PanopticReader(write(value))
    assert list(reader) == [] and "64 x 48" in reader.broken[0][1]


def test_the_folder_of_pictures_may_be_elsewhere_or_missing(tmp_path, write, value):
    file = write(value)
    file.with_suffix("").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="panoptic_val2017"):
        PanopticReader(file)
    (pair,) = PanopticReader(file, pictures=tmp_path / "elsewhere")
    assert len(pair.records) == 2
