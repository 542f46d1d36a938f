"""Pascal VOC as others write it, and what is broken."""

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.formats import open_writer
from samkit.datasets.opening import open_dataset
from samkit.datasets.records import from_mask
from samkit.datasets.voc_files import palette, read_labelmap, read_xml
from samkit.datasets.voc_reader import VocReader
from samkit.errors import FormatError, UsageError


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    picture.putpalette(palette())
    picture.save(path)


@pytest.fixture
def dataset(tmp_path, photo, masks):
    """As VOC 2012: two objects with borders of void; no XML."""
    folder = tmp_path / "VOC2012"
    (folder / "JPEGImages").mkdir(parents=True)
    (folder / "JPEGImages/2007_1.jpg").write_bytes(photo.read_bytes())
    objects, classes = np.zeros((48, 64)), np.zeros((48, 64))
    objects[masks[0]], classes[masks[0]] = 1, 15
    objects[masks[1]], classes[masks[1]] = 2, 8
    objects[4:6], classes[4:6] = 255, 255
    save(folder / "SegmentationObject/2007_1.png", objects)
    save(folder / "SegmentationClass/2007_1.png", classes)
    return folder


def test_void_is_no_mask_and_classes_have_the_names_of_2012(dataset, masks):
    reader = open_dataset(dataset)
    assert isinstance(reader, VocReader)
    (pair,) = reader
    void = np.zeros((48, 64), bool)
    void[4:6] = True
    assert np.array_equal(pair.mask(0), masks[0] & ~masks[1] & ~void)
    assert np.array_equal(pair.mask(1), masks[1])
    assert [r["samkit"]["labels"] for r in pair.records] == [["person"], ["cat"]]
    assert pair.image().shape == (48, 64, 3) and reader.broken == []


def test_the_xml_names_objects_where_it_has_them_all(dataset):
    xml = dataset / "Annotations/2007_1.xml"
    xml.parent.mkdir()
    xml.write_text(
        "<annotation><object><name>ox</name></object><object><name>ass</name></object></annotation>"
    )
    (pair,) = VocReader(dataset)
    assert [r["samkit"]["labels"] for r in pair.records] == [["ox"], ["ass"]]
    xml.write_text("<annotation><object><name>ox</name></object></annotation>")
    (pair,) = VocReader(dataset)
    assert [r["samkit"]["labels"] for r in pair.records] == [["person"], ["cat"]]


@pytest.mark.parametrize(
    "data",
    [
        b"<annotation>",
        b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
        '<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'.encode("utf-16"),
        b"\x00\x01",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b"<a>" * 100_000,
    ],
)
def test_an_xml_that_is_broken_or_hostile_is_named_and_the_masks_are_read(dataset, data):
    xml = dataset / "Annotations/2007_1.xml"
    xml.parent.mkdir()
    xml.write_bytes(data)
    with pytest.raises(FormatError, match=r"2007_1\.xml"):
        read_xml(xml)
    reader = VocReader(dataset)
    (pair,) = reader
    assert len(pair.records) == 2 and "samkit" not in pair.records[0]
    assert [name for name, _ in reader.broken] == ["2007_1 labels"]


def test_pictures_that_make_no_sense_are_named(dataset, photo):
    (dataset / "JPEGImages/torn.jpg").write_bytes(photo.read_bytes())
    (dataset / "SegmentationObject/torn.png").write_bytes(b"\x89PNG\r\n")
    (dataset / "JPEGImages/colour.jpg").write_bytes(photo.read_bytes())
    Image.new("RGB", (64, 48), "red").save(dataset / "SegmentationObject/colour.png")
    (dataset / "JPEGImages/deep.jpg").write_bytes(photo.read_bytes())
    deep = np.full((48, 64), 300, np.uint16)
    Image.fromarray(deep).save(dataset / "SegmentationObject/deep.png")
    save(dataset / "SegmentationObject/alone.png", np.ones((48, 64)))
    save(dataset / "SegmentationClass/2007_1.png", np.ones((4, 4)))
    reader = VocReader(dataset)
    assert [pair.name for pair in reader] == ["2007_1"]
    names = {name for name, _ in reader.broken}
    assert names == {"torn", "colour", "deep", "alone", "2007_1 labels"}


def test_of_more_masks_than_numbers_the_largest_stay(tmp_path, photo):
    stripes = [from_mask(np.arange(48 * 64).reshape(48, 64) % 300 == k, k) for k in range(300)]
    crowd = from_mask(np.ones((48, 64), bool), 1, samkit={"crowd": True})
    with open_writer("voc", tmp_path, copy_images=True) as writer:
        writer.write(photo, [*reversed(stripes), crowd])
    assert writer.losses == {"masks beyond the last number there is": 46, "crowd regions": 1}
    (pair,) = open_dataset(tmp_path)
    areas = sorted(record["area"] for record in pair.records)
    assert areas == sorted(stripe["area"] for stripe in stripes)[46:]


def test_labels_that_xml_cannot_hold_are_spelt_otherwise_and_counted(tmp_path, photo, masks):
    labels = ["a:b", "# c", "x\ty", "fine é", ":"]
    records = [from_mask(masks[2], k, samkit={"labels": [name]}) for k, name in enumerate(labels)]
    for place, record in enumerate(records):
        with open_writer("voc", tmp_path, copy_images=True) as writer:
            writer.write(photo, [record], name=f"{place}")
        assert writer.losses == ({} if place == 3 else {"labels that had to be spelt otherwise": 1})
    found = [pair.records[0]["samkit"]["labels"][0] for pair in open_dataset(tmp_path)]
    assert found == ["a;b", "_ c", "x y", "fine é", ";"]
    assert list(read_labelmap(tmp_path / "labelmap.txt").values()) == found


def test_a_labelmap_with_gaps_is_not_continued(tmp_path):
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncat:0,128,0::\n")
    assert read_labelmap(tmp_path / "labelmap.txt") == {2: "cat"}
    with pytest.raises(UsageError, match="gaps"):
        open_writer("voc", tmp_path)
    (tmp_path / "labelmap.txt").write_text("cat\n")
    with pytest.raises(FormatError, match="labelmap"):
        open_writer("voc", tmp_path)
