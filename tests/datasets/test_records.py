import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samkit.datasets.document import ImageInfo, document_bytes, parse_document
from samkit.datasets.records import FIELDS, check, from_generated, from_mask
from samkit.errors import FormatError
from samkit.masks import rle

SIZE = (6, 9)
MASK = np.zeros(SIZE, dtype=bool)
MASK[1:4, 2:8] = True
SOUND = {"image_id": 1, "width": 9, "height": 6, "file_name": "a.jpg"}
INFO = ImageInfo(5, SIZE[1], SIZE[0], "a.jpg")


def generated(segmentation):
    return {
        "segmentation": segmentation,
        "area": np.int64(18),
        "bbox": [2, 1, 5, 2],
        "predicted_iou": np.float32(0.5),
        "point_coords": [[3.5, 2.25]],
        "stability_score": 0.75,
        "crop_box": (0, 0, 9, 6),
    }


def test_all_three_output_modes_of_the_generator_make_the_same_record():
    (compressed,) = rle.encode(MASK[None])
    modes = [MASK, compressed, rle.to_uncompressed(compressed)]
    first, *others = [from_generated(generated(mode), 3) for mode in modes]
    assert all(other == first for other in others)
    assert first["segmentation"] == compressed
    assert tuple(first) == FIELDS


def test_a_record_of_a_mask_has_the_coco_box_and_says_that_nobody_scored_it():
    record = from_mask(MASK, 1)
    assert record["bbox"] == [2, 1, 6, 3]
    assert record["area"] == 18
    assert (record["predicted_iou"], record["stability_score"]) == (1, 1)
    assert record["crop_box"] == [0, 0, 9, 6]
    assert "samkit" not in record


def test_a_generated_mask_that_lacks_a_field_is_refused_by_name():
    incomplete = generated(MASK)
    del incomplete["stability_score"]
    with pytest.raises(FormatError, match="stability_score"):
        from_generated(incomplete, 3)


def test_keys_of_others_are_kept_where_sa1b_readers_do_not_look():
    foreign = {**from_mask(MASK, 1, samkit={"stage": 2}), "category": "cat"}
    record = check(foreign, SIZE)
    assert record["samkit"] == {"stage": 2, "other": {"category": "cat"}}
    assert check(record, SIZE) == record


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("id", "seven", "id"),
        ("id", True, "id"),
        ("bbox", [0, 0, -1, 2], "bbox"),
        ("bbox", [0, 0, 1], "bbox"),
        ("area", 55, "area"),
        ("area", 1.5, "area"),
        ("predicted_iou", math.nan, "predicted_iou"),
        ("stability_score", 10**400, "stability_score"),
        ("stability_score", "0.9", "stability_score"),
        ("crop_box", None, "crop_box"),
        ("point_coords", [[1, 2, 3]], "point_coords"),
        ("point_coords", [[1, math.inf]], "point_coords"),
        ("segmentation", {"size": [6, 9], "counts": "5"}, "mask"),
        ("segmentation", {"size": [9, 6], "counts": [54]}, "9 pixels"),
        ("segmentation", {"size": [6, 9], "counts": [53]}, "mask"),
        ("segmentation", {"size": [6], "counts": [6]}, "mask"),
        ("segmentation", [[1, 1, 2, 2, 3, 3]], "mask"),
        ("samkit", [], "samkit"),
        ("samkit", {"other": 3}, "samkit"),
        ("samkit", {"seconds": math.nan}, "samkit"),
        ("samkit", {"labels": ["\ud800"]}, "samkit"),
        ("samkit", {"mask": MASK}, "samkit"),
        ("note", math.inf, "samkit"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(field, value, word):
    with pytest.raises(FormatError, match=rf"Record 1.*{word}|A record.*{word}"):
        check({**from_mask(MASK, 1), field: value}, SIZE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from([*FIELDS, "samkit", "size", "counts"]), json_values)
def test_whatever_stands_in_a_field_gives_a_sound_record_or_a_format_error(field, value):
    record = json.loads(json.dumps(from_mask(MASK, 1)))
    if field in ("size", "counts"):
        record["segmentation"][field] = value
    else:
        record[field] = value
    try:
        sound = check(record, SIZE)
    except FormatError:
        return
    assert rle.decode(sound["segmentation"]).shape == SIZE
    assert math.isfinite(sound["predicted_iou"] + sum(sound["bbox"]) + sum(sound["crop_box"]))


@given(st.data())
def test_a_document_damaged_anywhere_is_read_in_part_or_refused_but_never_worse(data):
    whole = document_bytes(INFO, [from_mask(MASK, 1), from_mask(MASK, 2)])
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 20)))
    damaged = whole[:start] + data.draw(st.binary(max_size=20)) + whole[stop:]
    try:
        document = parse_document(damaged)
    except FormatError:
        return
    for record in document.records:
        assert rle.decode(record["segmentation"]).shape == document.image.size


def test_a_number_that_is_not_finite_costs_its_record_and_not_the_document():
    text = json.dumps({"image": SOUND, "annotations": [from_mask(MASK, 1), from_mask(MASK, 2)]})
    for word in ("NaN", "-Infinity", "1e999"):
        damaged = text.replace('"predicted_iou": 1.0', f'"predicted_iou": {word}', 1)
        document = parse_document(damaged.encode())
        assert [record["id"] for record in document.records] == [2]
        assert [place for place, _ in document.broken] == ["annotation 0"]


def test_a_document_is_written_as_sa1b_publishes_it_and_read_back_equal():
    records = [from_mask(MASK, 1, samkit={"labels": ["Käse"]})]
    data = document_bytes(INFO, records)
    value = json.loads(data)
    assert list(value) == ["image", "annotations"]
    assert value["image"] == {"image_id": 5, "width": 9, "height": 6, "file_name": "a.jpg"}
    document = parse_document(data)
    assert (document.image, document.records, document.broken) == (INFO, records, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"image": 3, "annotations": []}',
        '{"image": {"image_id": 1, "width": 9, "height": 6, "file_name": "a.jpg"}}',
        *(
            json.dumps({"image": {**SOUND, field: value}, "annotations": []})
            for field, value in [
                ("width", 0),
                ("width", 1e9),
                ("width", 10**9),
                ("file_name", "../a"),
                ("file_name", "a/b"),
                ("file_name", ""),
                ("image_id", math.nan),
                ("image_id", "1"),
            ]
        ),
        "[" * 100_000,
        "9" * 10_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_what_is_no_document_is_refused_in_one_sentence(text):
    with pytest.raises(FormatError) as caught:
        parse_document(text.encode("latin-1"))
    assert "\n" not in str(caught.value)
