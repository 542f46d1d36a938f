"""Every format that is written, read back: exact where claimed, else the loss is counted."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask

from samkit.datasets import losses
from samkit.datasets.formats import FORMATS, is_done, open_writer
from samkit.datasets.losses import loss_sentence
from samkit.datasets.opening import open_dataset
from samkit.datasets.records import from_mask
from samkit.errors import FormatError, SamkitError

LOSSLESS = ("sa1b", "coco", "coco-polygons", "labelme", "parquet", "webdataset")
JOINING = ("parquet", "webdataset")
LAYERED = ("panoptic", "voc")
FEW = settings(max_examples=20, suppress_health_check=list(HealthCheck))
label = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1
) | st.sampled_from(["object", "yes", "12", "a: b", "# c", "it's", '"', " x "])
own = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.lists(label, max_size=3),
        "stage": st.integers(0, 9),
        "other": st.fixed_dictionaries({"note": st.text(max_size=3) | st.none()}),
    },
)
score = st.floats(0, 1)


@st.composite
def scenes(draw):
    """(pixels, records): a small image with masks of any shape, with every field filled or not."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    masks = draw(hnp.arrays(bool, st.tuples(st.integers(0, 4), *map(st.just, size))))
    records = [
        from_mask(
            mask,
            number,
            predicted_iou=draw(score),
            stability_score=draw(score),
            point_coords=draw(st.lists(st.tuples(score, score).map(list), max_size=2)),
            samkit=draw(own),
        )
        for number, mask in enumerate(masks)
        if mask.any()
    ]
    return np.full((*size, 3), draw(st.integers(0, 255)), np.uint8), records


def written_and_read(format, pixels, records):
    """The pair that comes back, and what the writer says was lost."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.png"
        Image.fromarray(pixels).save(source)
        out = Path(folder) / "out"
        with open_writer(format, out, copy_images=True) as writer:
            writer.write(source, records, name="sub/photo", size=pixels.shape[:2])
        reader = open_dataset(out, keep_crowds=True)
        (pair,) = reader
        assert reader.broken == [] and pair.name == "sub/photo"
        assert np.array_equal(pair.image(), pixels)
        assert pair.info.size == pixels.shape[:2]
        return pair, writer.losses


def without_id(record):
    """What a record says, but for its number."""
    return {"samkit": {}, **{key: value for key, value in record.items() if key != "id"}}


def first_label(record):
    return next(iter(record.get("samkit", {}).get("labels", [])), "object")


def expected_losses(records):
    """Of a format that holds the first label alone, counted anew."""
    found = Counter()
    for record in records:
        noted = record.get("samkit", {})
        found[losses.FURTHER_LABELS] += max(0, len(noted.get("labels", [])) - 1)
        found[losses.SCORES] += record["predicted_iou"] != 1 or record["stability_score"] != 1
        found[losses.PROMPTS] += len(record["point_coords"]) > 0
        found[losses.NOTES] += bool(set(noted) - {"labels"})
    return +found


def seen_of(records, size):
    """Masks cut where smaller ones (of equal ones, later ones) lie on them, pixel by pixel."""
    masks = [mask_of(record) for record in records]
    seen = np.zeros((len(masks), *size), bool)
    for y, x in np.ndindex(size):
        covering = [k for k, mask in enumerate(masks) if mask[y, x]]
        if covering:
            seen[min(covering, key=lambda k: (masks[k].sum(), -k)), y, x] = True
    return seen


def mask_of(record):
    return coco_mask.decode(record["segmentation"]).astype(bool)


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("format", LOSSLESS)
@FEW
@given(scenes())
def test_nothing_is_lost(format, scene):
    pixels, records = scene
    pair, lost = written_and_read(format, pixels, records)
    assert list(map(without_id, pair.records)) == list(map(without_id, records))
    assert not lost and loss_sentence(format, lost) is None


@FEW
@given(scenes())
def test_yolo_keeps_every_pixel_and_the_first_label_and_counts_the_rest(scene):
    pixels, records = scene
    pair, lost = written_and_read("yolo", pixels, records)
    assert [r["segmentation"] for r in pair.records] == [r["segmentation"] for r in records]
    assert [r["samkit"]["labels"] for r in pair.records] == [[first_label(r)] for r in records]
    assert lost == expected_losses(records)


@pytest.mark.parametrize("format", LAYERED)
@FEW
@given(scenes())
def test_where_masks_must_not_overlap_the_hidden_pixels_are_counted(format, scene):
    pixels, records = scene
    pair, lost = written_and_read(format, pixels, records)
    seen = seen_of(records, pixels.shape[:2])
    shown = [k for k, mask in enumerate(seen) if mask.any()]
    assert np.array_equal(pair.masks(), seen[shown])
    assert lost[losses.HIDDEN_PIXELS] == sum(r["area"] for r in records) - seen.sum()
    assert lost[losses.HIDDEN_MASKS] == len(records) - len(shown)
    kept = [records[k] for k in shown]
    shapes = ("bbox", "area", "segmentation")
    rest = +Counter({k: n for k, n in lost.items() if not k.endswith(("other masks", "others"))})
    if format == "panoptic":
        for again, record in zip(pair.records, kept, strict=True):
            assert {k: v for k, v in without_id(again).items() if k not in shapes} == {
                k: v for k, v in without_id(record).items() if k not in shapes
            }
        assert not rest
    else:
        respelt = rest.pop(losses.RESPELT_LABELS, 0)
        labels = [r["samkit"]["labels"][0] for r in pair.records]
        assert sum(a != first_label(b) for a, b in zip(labels, kept, strict=True)) <= respelt
        assert rest == expected_losses(records)


@FEW
@given(scenes())
def test_pictures_of_masks_keep_every_pixel_the_scores_and_the_first_point(scene):
    pixels, records = scene
    if not records:
        return
    with tempfile.TemporaryDirectory() as folder:
        for place in ("images", "masks"):
            (Path(folder) / place).mkdir()
        Image.fromarray(pixels).save(Path(folder) / "images/photo.png")
        with open_writer("png", Path(folder) / "masks") as writer:
            writer.write(pixels, records, name="photo")
        (pair,) = open_dataset(folder)
    assert [r["segmentation"] for r in pair.records] == [r["segmentation"] for r in records]
    for again, record in zip(pair.records, records, strict=True):
        for key in ("predicted_iou", "stability_score", "crop_box"):
            assert again[key] == record[key]
        assert again["point_coords"] == record["point_coords"][:1]
    labels = sum(len(r.get("samkit", {}).get("labels", [])) for r in records)
    points = sum(max(0, len(r["point_coords"]) - 1) for r in records)
    assert writer.losses[losses.LABELS] == labels
    assert writer.losses[losses.FURTHER_POINTS] == points


@pytest.mark.parametrize("format", ["sa1b", "coco", "parquet", "webdataset"])
def test_masks_without_a_pixel_come_back(format, masks):
    nothing = np.zeros_like(masks[0])
    records = [from_mask(mask, k, predicted_iou=0.5) for k, mask in enumerate((masks[0], nothing))]
    pair, lost = written_and_read(format, np.zeros((48, 64, 3), np.uint8), records)
    assert list(map(without_id, pair.records)) == list(map(without_id, records))
    assert not lost


@pytest.mark.parametrize("format", ["coco-polygons", "labelme", "panoptic", "yolo", "voc"])
def test_masks_without_a_pixel_that_are_left_out_are_counted(format, masks):
    records = [from_mask(mask, k) for k, mask in enumerate((masks[0] & False, masks[0]))]
    pair, lost = written_and_read(format, np.zeros((48, 64, 3), np.uint8), records)
    assert [record["area"] for record in pair.records] == [masks[0].sum()]
    assert lost == {losses.EMPTY_MASKS: 1}


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_second_run_keeps_all_records_crowds_too(format, tmp_path, photo, records):
    records[1] = {**records[1], "samkit": {"labels": ["herd"], "crowd": True}}
    for name in ("a", "b"):
        with open_writer(format, tmp_path, copy_images=True) as writer:
            writer.write(photo, records, name=name)
    with open_writer(format, tmp_path, copy_images=True):
        pass  # everything was done before
    pairs = list(open_dataset(tmp_path, keep_crowds=True))
    assert [pair.name for pair in pairs] == ["a", "b"]
    for pair in pairs:
        assert list(map(without_id, pair.records)) == list(map(without_id, records))


@pytest.mark.parametrize("format", JOINING)
def test_what_was_joined_and_is_damaged_is_not_joined_anew_without_its_loss(
    format, tmp_path, photo, records
):
    with open_writer(format, tmp_path) as writer:
        writer.write(photo, records, name="a")
    (file,) = [p for p in tmp_path.rglob("*.*") if p.suffix in (".parquet", ".tar")]
    damaged = file.read_bytes()[:1000]
    file.write_bytes(damaged)
    writer = open_writer(format, tmp_path)
    writer.write(photo, records, name="b")
    with pytest.raises(FormatError, match="damaged"):
        writer.close()
    assert file.read_bytes() == damaged


def test_one_mask_that_was_damaged_after_it_was_joined_is_not_dropped(tmp_path, photo, records):
    with open_writer("webdataset", tmp_path) as writer:
        writer.write(photo, records, name="a")
    (file,) = tmp_path.rglob("*.tar")
    file.write_bytes(file.read_bytes().replace(b'"area"', b'"arex"', 1))
    with pytest.raises(FormatError, match="damaged"), open_writer("webdataset", tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit for the size of files")
@pytest.mark.parametrize("format", JOINING)
def test_a_full_disk_is_one_sentence_and_what_was_joined_stays(format, tmp_path, masks):
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    with open_writer(format, tmp_path / "out") as writer:
        writer.write(noise[0], [], name="a")
    for number, pixels in enumerate(noise[1:]):
        writer.write(pixels, [], name=f"b{number}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # two images
    try:
        with pytest.raises(SamkitError, match="full; free some space"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob("*.tmp"))
    assert open_dataset(tmp_path / "out").names == ["a"]
    writer.close()
    assert open_dataset(tmp_path / "out").names == ["a", "b0", "b1"]


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in ("png", "labelmap")])
def test_images_that_are_added_later_join_those_before(format, tmp_path, photo, records, masks):
    """Also after a run that was killed before its end, and when one is written anew."""
    out = tmp_path / "out"
    with open_writer(format, out, copy_images=True) as writer:
        writer.write(photo, records[:1], name="b")
        writer.write(photo, [], name="none")
    killed = open_writer(format, out, copy_images=True)
    killed.write(photo, records[1:2], name="a")
    del killed  # never closed
    assert all(is_done(format, out, name) for name in ("a", "b", "none"))
    with open_writer(format, out, copy_images=True) as writer:
        writer.write(photo, records[:1], name="c")
        writer.write(photo, records[2:], name="b")
    reader = open_dataset(out)
    assert {pair.name: len(pair.records) for pair in reader} == {"a": 1, "b": 1, "c": 1, "none": 0}
    assert reader.broken == []
    for name, number in (("a", 1), ("b", 2), ("c", 0)):
        assert np.array_equal(reader[name].mask(0), masks[number])
        assert reader[name].source.read(1 << 20) == photo.read_bytes()
