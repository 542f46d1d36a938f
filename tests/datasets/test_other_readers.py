"""What our writers leave, read by others: pycocotools, Pillow, Arrow, tarfile, and by hand."""

import base64
import contextlib
import io
import json
import tarfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pyarrow import parquet
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from samkit.datasets.coco import CocoWriter
from samkit.datasets.formats import open_writer
from samkit.datasets.records import from_mask

# pycocotools 2.0.11 decodes with an array protocol that numpy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def shapes(masks):
    """A ring of two parts, with a square under it and a pixel apart."""
    ring = masks[0] & ~masks[1]
    ring[44:47, 2:60] = True
    return [ring, masks[1], masks[2]]


@pytest.fixture
def labelled(shapes):
    """Their records: a cat, a dog, and one that nobody named."""
    labels = (["cat", "pet"], ["dog"], None)
    return [
        from_mask(mask, 5 + k, predicted_iou=0.5, samkit={"labels": name} if name else None)
        for k, (mask, name) in enumerate(zip(shapes, labels, strict=True))
    ]


def written(format, tmp_path, photo, records):
    with open_writer(format, tmp_path / "out", copy_images=True) as writer:
        writer.write(photo, records, name="sub/photo")
    return tmp_path / "out", writer.losses


def test_pycocotools_makes_the_same_masks_of_polygons(tmp_path, photo, labelled, shapes):
    with CocoWriter(tmp_path, masks="polygons") as writer:
        writer.write(photo, labelled)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "instances_polygons.json")
    annotations = coco.loadAnns(coco.getAnnIds())
    assert [len(one["segmentation"]) for one in annotations] == [2, 1, 1]
    assert [coco.cats[one["category_id"]]["name"] for one in annotations] == [
        "cat",
        "dog",
        "object",
    ]
    for annotation, mask in zip(annotations, shapes, strict=True):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()


def test_panoptic_colours_are_the_ids_and_the_segments_say_their_area(tmp_path, photo):
    """More than 256 masks, so that green counts too."""
    columns = [np.arange(48 * 64).reshape(48, 64) % 300 == k for k in range(300)]
    out, lost = written("panoptic", tmp_path, photo, map(from_mask, columns, range(300)))
    value = json.loads((out / "panoptic.json").read_bytes())
    (annotation,), (image,) = value["annotations"], value["images"]
    assert annotation["image_id"] == image["id"]
    assert (out / "images" / image["file_name"]).read_bytes() == photo.read_bytes()
    colours = np.array(Image.open(out / "panoptic" / annotation["file_name"])).astype(int)
    ids = colours @ [1, 256, 65536]
    assert len(annotation["segments_info"]) == 300 and not lost
    for segment, column in zip(annotation["segments_info"], columns, strict=True):
        assert np.array_equal(ids == segment["id"], column)
        assert segment["area"] == column.sum()
        rows, where = np.nonzero(column)
        assert segment["bbox"] == [
            where.min(),
            rows.min(),
            where.max() - where.min() + 1,
            rows.max() - rows.min() + 1,
        ]
    assert value["categories"] == [
        {"id": 1, "name": "object", "supercategory": "object", "isthing": 1}
    ]


def test_yolo_lines_are_fractions_that_another_rasteriser_fills_alike(
    tmp_path, photo, labelled, shapes
):
    out, lost = written("yolo", tmp_path, photo, labelled)
    assert lost == {"labels after a mask's first": 1, "masks' scores": 3}
    lines = (out / "labels/sub/photo.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert (out / "data.yaml").read_text().splitlines()[1:] == [
        "path: .",
        "train: images",
        "val: images",
        "names:",
        '  0: "cat"',
        '  1: "dog"',
        '  2: "object"',
    ]
    for line, mask in zip(lines, shapes, strict=True):
        values = np.array(line.split()[1:], float).reshape(-1, 2)
        assert values.min() >= 0 and values.max() <= 1
        # Pillow draws on pixels' centres and paints the line itself: times 8, only lines differ.
        picture = Image.new("1", (64 * 8, 48 * 8))
        corners = [tuple(xy) for xy in (values * [64 * 8, 48 * 8] - 0.5).tolist()]
        ImageDraw.Draw(picture).polygon(corners, fill=1)
        assert np.array_equal(np.array(picture)[4::8, 3::8], mask)
    (image,) = (out / "images").rglob("*.jpg")
    assert image.read_bytes() == photo.read_bytes()


def test_voc_has_its_palette_its_objects_and_its_classes(tmp_path, photo, labelled, shapes):
    out, lost = written("voc", tmp_path, photo, labelled)
    assert lost == {"labels after a mask's first": 1, "masks' scores": 3}
    objects = Image.open(out / "SegmentationObject/sub/photo.png")
    classes = Image.open(out / "SegmentationClass/sub/photo.png")
    assert objects.mode == classes.mode == "P"
    assert objects.getpalette()[:15] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]
    root = ElementTree.parse(out / "Annotations/sub/photo.xml").getroot()
    names = [one.findtext("name") for one in root.iter("object")]
    boxes = [[int(side.text) for side in one.find("bndbox")] for one in root.iter("object")]
    assert names == ["cat", "dog", "object"]
    assert boxes[1:] == [[31, 11, 45, 20], [64, 48, 64, 48]]
    listed = (out / "labelmap.txt").read_text().splitlines()
    assert listed[1:3] == ["background:0,0,0::", "cat:128,0,0::"]
    for k, mask in enumerate(shapes):
        assert np.array_equal(np.array(objects) == k + 1, mask)
        assert np.array_equal(np.array(classes) == k + 1, mask)
    assert (out / "ImageSets/Segmentation/all.txt").read_text() == "sub/photo\n"


def test_labelme_has_the_pixels_of_the_box_as_a_picture(tmp_path, photo, labelled, shapes):
    out, lost = written("labelme", tmp_path, photo, labelled)
    value = json.loads((out / "sub/photo.json").read_bytes())
    assert not lost and (out / "sub" / value["imagePath"]).read_bytes() == photo.read_bytes()
    for shape, mask in zip(value["shapes"], shapes, strict=True):
        (left, top), (right, bottom) = shape["points"]
        part = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
        again = np.zeros_like(mask)
        again[top : bottom + 1, left : right + 1] = part  # as labelme pastes it
        assert np.array_equal(again, mask)


def test_arrow_reads_lists_whose_rle_pycocotools_decodes(tmp_path, photo, labelled, shapes):
    out, _ = written("parquet", tmp_path, photo, labelled)
    (row,) = parquet.read_table(out / "data/train-00000-of-00001.parquet").to_pylist()
    assert row["image"] == {"bytes": photo.read_bytes(), "path": "photo.jpg"}
    assert (row["width"], row["height"], row["name"]) == (64, 48, "sub/photo")
    objects = row["objects"]
    assert objects["category"] == ["cat", "dog", "object"]
    for segmentation, area, mask in zip(
        objects["segmentation"], objects["area"], shapes, strict=True
    ):
        assert np.array_equal(coco_mask.decode(segmentation).astype(bool), mask)
        assert area == mask.sum()


def test_parquet_tells_datasets_which_column_is_an_image(tmp_path, photo, labelled):
    out, _ = written("parquet", tmp_path, photo, labelled)
    schema = parquet.read_schema(out / "data/train-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert list(features) == schema.names


def test_webdataset_samples_are_one_file_beside_the_other(tmp_path, photo, labelled):
    with open_writer("webdataset", tmp_path / "out") as writer:
        for name in ("b.2", "a"):
            writer.write(photo, labelled, name=name)
    with tarfile.open(tmp_path / "out/shards/shard-00000.tar") as tar:
        assert tar.getnames() == ["a.jpg", "a.json", "b%2E2.jpg", "b%2E2.json"]
        assert tar.extractfile("b%2E2.jpg").read() == photo.read_bytes()
        value = json.loads(tar.extractfile("a.json").read())
    assert [one["area"] for one in value["annotations"]] == [one["area"] for one in labelled]
