import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.labelme import LabelmeReader
from samkit.datasets.labelme_writer import LabelmeWriter, is_labelme_done
from samkit.datasets.records import from_mask
from samkit.errors import UsageError


def png(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def write(photo):
    """Writes shapes into the photograph's labelme file and reads the folder."""

    def write_and_read(*shapes, **fields):
        value = {
            "version": "5.4.1",
            "flags": {},
            "shapes": list(shapes),
            "imagePath": "..\\pictures\\photo.jpg",
            "imageData": None,
            "imageHeight": 48,
            "imageWidth": 64,
            **fields,
        }
        photo.with_suffix(".json").write_text(json.dumps(value))
        return LabelmeReader(photo.parent)

    return write_and_read


def shape(kind, points, **fields):
    return {"label": "thing", "shape_type": kind, "points": points, "group_id": None, **fields}


def test_all_shapes_with_an_area_become_masks(write, masks):
    part = np.zeros((10, 15), dtype=np.uint8)
    part[2:, 3:] = 255
    reader = write(
        shape("polygon", [[6, 4], [50, 4], [50, 40], [6, 40]]),
        shape("rectangle", [[45, 20], [30, 10]]),
        shape("circle", [[32, 24], [32, 34]]),
        shape("mask", [[30, 10], [44, 19]], mask=png(part)),
    )
    (pair,) = reader
    polygon, rectangle, circle, mask = pair.masks()
    assert (polygon == masks[0]).all()
    assert (rectangle == masks[1]).all()
    assert abs(circle.sum() / (np.pi * 100) - 1) < 0.03
    assert mask.sum() == 8 * 12
    assert mask[12, 33]
    assert mask[19, 44]
    assert {record["samkit"]["labels"][0] for record in pair.records} == {"thing"}
    assert pair.image().shape == (48, 64, 3)
    assert reader.broken == []


def test_shapes_of_one_group_and_label_are_one_mask(write):
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    far = [[10, 10], [14, 10], [14, 14], [10, 14]]
    (pair,) = write(
        shape("polygon", square, group_id=1),
        shape("polygon", far, group_id=1),
        shape("polygon", square, group_id=1, label="other"),
        shape("polygon", square),
        shape("polygon", square),
    )
    assert [record["area"] for record in pair.records] == [32, 16, 16, 16]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (shape("line", [[0, 0], [4, 4]]), "no area"),
        (shape("point", [[0, 0]]), "no area"),
        (shape("spiral", [[0, 0], [1, 1]]), "spiral"),
        (shape("polygon", [[0, 0], [4, 4]]), "corners"),
        (shape("circle", [[0, 0]]), "two points"),
        (shape("polygon", "abc"), "points"),
        (shape("polygon", [[0, 0], [float("1e300"), 4], [3, 3]]), "finite"),
        (shape("mask", [[0, 0], [1, 1]], mask="%%%"), "base64"),
        (shape("mask", [[60, 40], [70, 50]], mask=png(np.full((9, 9), 255, np.uint8))), "reaches"),
        (shape("polygon", [[100, 100], [104, 100], [104, 104]]), "no pixel"),
        ("nonsense", "object"),
    ],
)
def test_a_shape_that_makes_no_mask_is_named_and_the_others_are_read(write, bad, word):
    reader = write(bad, shape("rectangle", [[0, 0], [4, 4]]))
    (pair,) = reader
    assert len(pair.records) == 1
    ((name, sentence),) = reader.broken
    assert name == "photo shape 0"
    assert word in sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"imagePath": "gone.jpg"},
        {"imagePath": None},
        {"imagePath": "/"},
        {"shapes": None},
        {"imageWidth": "64"},
    ],
)
def test_a_file_that_makes_no_sense_is_named(write, fields):
    reader = write(**fields)
    assert list(reader) == []
    assert [name for name, _ in reader.broken] == ["photo"]


def test_images_may_lie_in_another_folder(write, photo, tmp_path):
    write(shape("rectangle", [[0, 0], [4, 4]]))
    (tmp_path / "elsewhere").mkdir()
    photo.rename(tmp_path / "elsewhere/photo.jpg")
    assert list(LabelmeReader(photo.parent)) == []
    (pair,) = LabelmeReader(photo.parent, images=tmp_path / "elsewhere")
    assert pair.image().shape == (48, 64, 3)


def test_what_labelme_saved_since_is_done_and_never_written_over(tmp_path, photo, records):
    with LabelmeWriter(tmp_path, copy_images=True) as writer:
        path = writer.write(photo, records)
        writer.write(photo, records)  # our own may be
    value = json.loads(path.read_bytes())
    value["shapes"][0]["label"] = "edited"
    path.write_text(json.dumps(value, indent=2))
    assert is_labelme_done(tmp_path, "photo")
    with pytest.raises(UsageError, match=r"photo\.json"):
        writer.write(photo, records)
    (pair,) = LabelmeReader(tmp_path)
    assert pair.records[0]["samkit"] == {"stage": 0, "labels": ["edited"]}
    assert pair.records[1]["samkit"] == {"stage": 1}
    assert pair.records[0]["point_coords"] == [[30.5, 12.0]]


def test_masks_without_a_pixel_are_left_out_and_counted(tmp_path, photo, masks):
    with LabelmeWriter(tmp_path, copy_images=True) as writer:
        writer.write(photo, [from_mask(masks[0] & False, 1), from_mask(masks[1], 2)])
    assert writer.losses == {"masks without a pixel": 1}
    (pair,) = LabelmeReader(tmp_path)
    assert (pair.masks() == masks[1:2]).all()


def test_what_we_add_is_not_believed_when_it_is_damaged(tmp_path, photo, records):
    with LabelmeWriter(tmp_path, copy_images=True) as writer:
        path = writer.write(photo, records)
    value = json.loads(path.read_bytes())
    value["shapes"][0]["predicted_iou"] = "high"
    value["shapes"][1]["samkit"] = 7
    path.write_text(json.dumps(value))
    reader = LabelmeReader(tmp_path)
    (pair,) = reader
    assert len(pair.records) == 1
    assert [name for name, _ in reader.broken] == ["photo mask 0", "photo mask 1"]
