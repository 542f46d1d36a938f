import csv
import os

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.mask_pictures import MaskPicturesReader
from samkit.datasets.png import HEADER, PngWriter, is_png_done, write_mask
from samkit.datasets.records import from_mask
from samkit.errors import SamkitError, UsageError


def test_the_layout_is_that_of_the_official_amg_script(tmp_path, photo, records, masks):
    folder = PngWriter(tmp_path / "out").write(photo, records)
    assert folder == tmp_path / "out/photo"
    assert sorted(os.listdir(folder)) == ["0.png", "1.png", "2.png", "metadata.csv"]
    for number, mask in enumerate(masks):
        with Image.open(folder / f"{number}.png") as image:
            assert image.mode == "L"
            assert (np.asarray(image) == mask * np.uint8(255)).all()
    lines = (folder / "metadata.csv").read_text().splitlines()
    assert lines[0] == HEADER
    assert lines[0] == (
        "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
        "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"
    )
    assert lines[2] == "1,150,30.0,10.0,15.0,10.0,30.5,12.0,0.8,0.95,0,0,64,48"


def test_a_mask_without_points_has_empty_cells(tmp_path, photo, records):
    records[0]["point_coords"] = []
    folder = PngWriter(tmp_path).write(photo, records[:1])
    (row,) = csv.DictReader((folder / "metadata.csv").open())
    assert (row["point_input_x"], row["point_input_y"]) == ("", "")


def test_no_masks_make_a_folder_with_a_header_only(tmp_path, photo):
    folder = PngWriter(tmp_path).write(photo, [])
    assert os.listdir(folder) == ["metadata.csv"]
    assert is_png_done(tmp_path, "photo")


def test_a_folder_appears_whole_or_not_at_all(tmp_path, photo, records, monkeypatch):
    writer = PngWriter(tmp_path / "out")
    calls = []
    save = Image.Image.save

    def fail_at_the_second(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", fail_at_the_second)
    with pytest.raises(SamkitError):
        writer.write(photo, records)
    assert os.listdir(tmp_path / "out") == []
    assert not is_png_done(tmp_path / "out", "photo")


def test_a_second_run_replaces_the_whole_folder(tmp_path, photo, records):
    writer = PngWriter(tmp_path / "out")
    writer.write(photo, records)
    writer.write(photo, records[:1])
    assert sorted(os.listdir(tmp_path / "out/photo")) == ["0.png", "metadata.csv"]
    assert os.listdir(tmp_path / "out") == ["photo"]


def test_a_folder_of_something_else_is_not_touched(tmp_path, photo, records):
    (tmp_path / "photo").mkdir()
    (tmp_path / "photo/holiday.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        PngWriter(tmp_path).write(photo, records)
    assert (tmp_path / "photo/holiday.txt").read_text() == "mine"


def test_a_single_mask_is_black_and_white(tmp_path, masks):
    write_mask(tmp_path / "m.png", masks[0])
    with Image.open(tmp_path / "m.png") as image:
        assert set(np.unique(np.asarray(image))) == {0, 255}


@pytest.mark.parametrize(
    "rest", ["", "x\n", "0,1,2\n", "a" + ",1" * 13 + "\n", "0" + ",1" * 8 + ",inf" * 5 + "\n"]
)
def test_masks_beside_a_broken_metadata_are_read_and_that_is_named(tmp_path, photo, masks, rest):
    records = [from_mask(masks[0], 1, predicted_iou=0.5)]
    (tmp_path / "set").mkdir()
    photo.parent.rename(tmp_path / "set/images")
    path = PngWriter(tmp_path / "set/masks").write(tmp_path / "set/images/photo.jpg", records)
    (path / "metadata.csv").write_text(f"{HEADER}\n{rest}" if rest else "")
    reader = MaskPicturesReader(tmp_path / "set/images", tmp_path / "set/masks")
    (pair,) = reader
    assert (pair.mask(0) == masks[0]).all() and pair.records[0]["predicted_iou"] == 1
    ((name, _),) = reader.broken
    assert name.startswith("photo/metadata.csv")
