import contextlib
import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from samkit.datasets.coco import CocoReader, CocoWriter, is_coco_done
from samkit.errors import FormatError, UsageError
from samkit.masks import rle

# pycocotools 2.0.11 decodes with an array protocol that numpy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def load(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_pycocotools_loads_what_we_write_and_its_areas_and_boxes_agree(
    tmp_path, photo, records, masks
):
    with CocoWriter(tmp_path / "out") as writer:
        writer.write(photo, records, name="b/photo")
        writer.write(photo, records[:1], name="a")
        writer.write(photo, [], name="none")
    coco = load(tmp_path / "out/instances.json")
    assert [coco.imgs[k]["file_name"] for k in (1, 2, 3)] == [
        "photo.jpg",
        "b/photo.jpg",
        "photo.jpg",
    ]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["object"]
    assert [len(coco.getAnnIds(imgIds=[k])) for k in (1, 2, 3)] == [1, 3, 0]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    for annotation, mask in zip(annotations, masks, strict=True):
        assert (coco.annToMask(annotation) == mask).all()
    keys = ("image_id", "category_id", "segmentation", "score")
    with contextlib.redirect_stdout(io.StringIO()):
        results = coco.loadRes([{key: a[key] for key in keys} for a in coco.dataset["annotations"]])
    for ours, theirs in zip(
        coco.dataset["annotations"], results.dataset["annotations"], strict=True
    ):
        assert ours["area"] == theirs["area"]
        assert ours["bbox"] == theirs["bbox"].tolist()
    assert annotations[0]["point_coords"] == [[30.5, 12.0]]
    assert annotations[1]["samkit"] == {"stage": 1}


def test_a_run_that_was_killed_has_lost_nothing_and_the_next_one_adds(tmp_path, photo, records):
    out = tmp_path / "out"
    killed = CocoWriter(out)
    killed.write(photo, records, name="a")
    del killed  # never closed
    assert not (out / "instances.json").exists()
    assert is_coco_done(out, "a")
    assert not is_coco_done(out, "b")
    with CocoWriter(out) as writer:
        writer.write(photo, records[:1], name="b")
    assert len(load(out / "instances.json").anns) == 4
    with CocoWriter(out) as writer:
        writer.write(photo, records[:2], name="c")
    assert len(load(out / "instances.json").anns) == 6
    with pytest.raises(KeyboardInterrupt), CocoWriter(out) as writer:
        writer.write(photo, records, name="d")
        raise KeyboardInterrupt
    assert len(load(out / "instances.json").anns) == 6
    assert is_coco_done(out, "d")


def test_a_damaged_part_is_named_and_the_old_file_stays(tmp_path, photo, records):
    out = tmp_path / "out"
    with CocoWriter(out) as writer:
        part = writer.write(photo, records, name="a")
    before = (out / "instances.json").read_bytes()
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(FormatError, match=r"a\.json"), CocoWriter(out):
        pass
    assert (out / "instances.json").read_bytes() == before
    assert sorted(os.listdir(out)) == [".parts", "instances.json"]


def test_somebody_elses_instances_json_is_not_overwritten(tmp_path):
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(UsageError, match=r"instances\.json"):
        CocoWriter(tmp_path)


@pytest.fixture
def dataset(tmp_path, photo, masks):
    """A COCO file of one image with a polygon, an RLE of each kind and a crowd."""
    (compressed,) = rle.encode(masks[1:2])
    common = {"image_id": 8, "category_id": 3, "iscrowd": 0}
    kinds = [
        [[6, 4, 50, 4, 50, 40, 6, 40]],
        compressed,
        rle.to_uncompressed(compressed),
        [[0, 0, 4, 0, 4, 4, 0, 4], [10, 10, 14, 10, 14, 14, 10, 14]],
    ]
    annotations = [
        {**common, "id": 100 + place, "segmentation": value} for place, value in enumerate(kinds)
    ]
    annotations[2]["iscrowd"] = 1
    return {
        "images": [{"id": 8, "width": 64, "height": 48, "file_name": "photo.jpg"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": annotations,
    }


def read(tmp_path, dataset, **options):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(dataset))
    return CocoReader(path, tmp_path / "photos", **options)


def test_polygons_and_both_kinds_of_rle_are_read_and_crowds_only_when_asked(
    tmp_path, dataset, masks
):
    (pair,) = read(tmp_path, dataset)
    assert pair.name == "photo"
    assert [record["id"] for record in pair.records] == [100, 101, 103]
    assert pair.records[0]["samkit"] == {"labels": ["cat"]}
    first, second, third = pair.masks()
    assert (first == masks[0]).all()
    assert (second == masks[1]).all()
    assert third.sum() == 32
    assert pair.image().shape == (48, 64, 3)
    (pair,) = read(tmp_path, dataset, keep_crowds=True)
    assert [r["samkit"].get("crowd", False) for r in pair.records] == [False, False, True, False]
    assert (pair.mask(2) == masks[1]).all()


def test_what_we_wrote_is_read_back(tmp_path, photo, records, masks):
    with CocoWriter(tmp_path / "out") as writer:
        writer.write(photo, records)
    (pair,) = CocoReader(tmp_path / "out/instances.json", photo.parent)
    assert (pair.masks() == masks).all()


@pytest.mark.parametrize(
    ("segmentation", "word"),
    [
        ([], "polygon"),
        ([[1, 2, 3, 4]], "corners"),
        ([[1, 2, 3, 4, 5]], "corners"),
        ([[1, 2, 3, 4, 5, 1e300]], "far outside"),
        ([["a", 2, 3, 4, 5, 6]], "numbers"),
        ([[[1, 2], [3, 4], [5, 6]]], "corners"),
        ([[200, 200, 210, 200, 210, 210]], "no pixel"),
        ({"size": [48, 64], "counts": "0"}, "runs"),
        ({"size": [64, 48], "counts": [0, 64 * 48]}, "size"),
        (None, "RLE"),
        ("x", "RLE"),
    ],
)
def test_a_broken_annotation_is_named_and_the_others_are_read(
    tmp_path, dataset, segmentation, word
):
    dataset["annotations"][1]["segmentation"] = segmentation
    reader = read(tmp_path, dataset)
    (pair,) = reader
    assert [record["id"] for record in pair.records] == [100, 103]
    ((name, sentence),) = reader.broken
    assert name == "annotation 1"
    assert word in sentence


def test_broken_images_and_annotations_without_image_are_named(tmp_path, dataset):
    good = dataset["images"][0]
    dataset["images"] += [
        {**good, "id": 9, "file_name": "../../etc/passwd"},
        {**good, "id": 10, "width": -3},
        {**good, "file_name": "again.jpg"},
        {**good, "id": 11, "file_name": "gone.jpg"},
        "nonsense",
    ]
    dataset["annotations"] += [{"image_id": 99}, {"image_id": [1]}, 7]
    dataset["annotations"][0]["category_id"] = [1]
    reader = read(tmp_path, dataset)
    assert [pair.name for pair in reader] == ["photo"]
    assert {name for name, _ in reader.broken} == {
        *(f"image {place}" for place in (1, 2, 3, 5)),
        *(f"annotation {place}" for place in (4, 5, 6)),
        "gone",
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [], "annotations": {}}'])
def test_what_is_no_coco_file_is_refused(tmp_path, photo, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FormatError, match=r"x\.json"):
        CocoReader(tmp_path / "x.json", photo.parent)


def test_two_images_of_one_stem_keep_two_names_and_lvis_addresses_work(
    tmp_path, dataset, photo, pixels
):
    Image.fromarray(pixels).save(photo.with_suffix(".png"))
    dataset["images"].append(
        {"id": 9, "width": 64, "height": 48, "coco_url": "http://example.org/train/photo.png"}
    )
    pairs = list(read(tmp_path, dataset))
    assert [pair.source.suffix for pair in pairs] == [".jpg", ".png"]
    assert len({pair.name for pair in pairs}) == 2


def test_polygons_follow_the_rule_of_pycocotools(tmp_path, dataset):
    polygon = [3.2, 5.7, 40.1, 8.8, 33.3, 44.4, 9.9, 30.0]
    dataset["annotations"] = [{**dataset["annotations"][0], "segmentation": [polygon]}]
    (pair,) = read(tmp_path, dataset)
    (expected,) = coco_mask.frPyObjects([polygon], 48, 64)
    assert np.array_equal(pair.mask(0), coco_mask.decode(expected).astype(bool))
