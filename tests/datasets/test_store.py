import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.store import StoreReader, StoreWriter, is_store_json
from samkit.errors import FormatError, ImageError, UsageError


def test_a_pair_comes_back_as_it_was_written(tmp_path, photo, records, masks):
    with StoreWriter(tmp_path / "store") as writer:
        path = writer.write(photo, records, name="a/b/one")
    assert path == tmp_path / "store/a/b/one.json"
    (pair,) = StoreReader(tmp_path / "store")
    assert pair.name == "a/b/one"
    assert pair.records == records
    assert pair.info.file_name == "one.jpg"
    assert pair.source.path.read_bytes() == photo.read_bytes()
    assert (pair.masks() == masks).all()
    assert pair.image().shape == (48, 64, 3)


def test_pixels_given_as_an_array_are_kept_exactly(tmp_path, pixels, records):
    StoreWriter(tmp_path).write(pixels, records, name="scene")
    assert (StoreReader(tmp_path)["scene"].image() == pixels).all()


def test_masks_of_the_generator_get_ids_that_depend_on_the_name_only(tmp_path, photo, records):
    raw = [{k: v for k, v in record.items() if k != "id"} for record in records]
    first = StoreWriter(tmp_path / "1").write(photo, raw)
    second = StoreWriter(tmp_path / "2").write(photo, raw)
    assert first.read_bytes() == second.read_bytes()
    ids = [a["id"] for a in json.loads(first.read_bytes())["annotations"]]
    assert len(set(ids)) == 3
    assert max(ids) < 2**53


def test_a_photograph_may_stay_where_it_is(tmp_path, photo, records):
    out = tmp_path / "out"
    StoreWriter(out, copy_images=False).write(photo, records)
    assert os.listdir(out) == ["photo.json"]
    assert json.loads((out / "photo.json").read_bytes())["image"]["file_name"] == "photo.jpg"
    assert StoreReader(out, images=photo.parent)["photo"].image().shape == (48, 64, 3)
    reader = StoreReader(out)
    assert list(reader) == []
    assert [name for name, _ in reader.broken] == ["photo"]


def test_an_image_without_masks_is_a_pair_and_its_size_is_found_out(tmp_path, photo):
    StoreWriter(tmp_path / "s").write(photo, [])
    pair = StoreReader(tmp_path / "s")["photo"]
    assert pair.records == []
    assert pair.info.size == (48, 64)
    assert pair.masks().shape == (0, 48, 64)


def test_broken_things_are_named_skipped_and_counted_once(tmp_path, photo, records):
    writer = StoreWriter(tmp_path / "s")
    for name in ("good", "half", "torn", "alone", "other"):
        writer.write(photo, records, name=name)
    half = tmp_path / "s/half.json"
    value = json.loads(half.read_bytes())
    value["annotations"][1]["predicted_iou"] = None
    half.write_text(json.dumps(value))
    torn = tmp_path / "s/torn.json"
    torn.write_bytes(torn.read_bytes()[:100])
    (tmp_path / "s/alone.jpg").unlink()
    (tmp_path / "s/other.json").write_text('{"version": "5.0", "shapes": []}')
    reader = StoreReader(tmp_path / "s")
    for _ in range(2):
        assert [(p.name, len(p.records)) for p in reader] == [("good", 3), ("half", 2)]
    broken = dict(reader.broken)
    assert set(broken) == {"torn", "alone", "other", "half annotation 1"}
    assert "predicted_iou" in broken["half annotation 1"]
    with pytest.raises(FormatError, match=r"torn\.json"):
        reader["torn"]


def test_an_image_that_cannot_be_decoded_or_was_replaced_is_skipped_with_images(
    tmp_path, photo, records
):
    writer = StoreWriter(tmp_path / "s")
    for name in ("cut", "good", "small"):
        writer.write(photo, records, name=name)
    (tmp_path / "s/cut.jpg").write_bytes(photo.read_bytes()[:300])
    Image.new("RGB", (5, 5)).save(tmp_path / "s/small.jpg")
    reader = StoreReader(tmp_path / "s")
    assert [pair.name for pair, _ in reader.with_images()] == ["good"]
    assert {name for name, _ in reader.broken} == {"cut", "small"}
    with pytest.raises(ImageError, match=r"cut\.jpg"):
        reader["cut"].image()


def test_a_reader_is_a_sequence_with_names_and_can_be_sent_to_other_processes(
    tmp_path, photo, records
):
    writer = StoreWriter(tmp_path / "s")
    for name in ("b", "a/z", "c"):
        writer.write(photo, records, name=name)
    reader = pickle.loads(pickle.dumps(StoreReader(tmp_path / "s")))
    assert reader.names == ["a/z", "b", "c"]
    assert len(reader) == 3
    assert (reader[0].name, reader[-1].name, reader["b"].name) == ("a/z", "c", "b")
    assert "b" in reader
    assert "d" not in reader
    with pytest.raises(KeyError):
        reader["d"]
    with pytest.raises(IndexError):
        reader[3]


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "a\\b", "a/", "a\nb", "C:a"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, photo, records, name):
    with pytest.raises(UsageError):
        StoreWriter(tmp_path / "s").write(photo, records, name=name)
    assert not (tmp_path / "s").exists()


def test_nothing_of_anybody_else_is_overwritten(tmp_path, photo, pixels, records):
    labelme = photo.with_suffix(".json")
    labelme.write_text('{"version": "5.0"}')
    with pytest.raises(UsageError, match="not a file of a store"):
        StoreWriter(photo.parent).write(photo, records)
    assert labelme.read_text() == '{"version": "5.0"}'
    labelme.unlink()
    before = photo.read_bytes()
    other = tmp_path / "photo.jpg"
    Image.fromarray(pixels[::-1]).save(other)
    with pytest.raises(UsageError, match="another image"):
        StoreWriter(photo.parent).write(other, records)
    assert photo.read_bytes() == before
    StoreWriter(photo.parent).write(photo, records)  # beside itself is its right place
    assert photo.read_bytes() == before
    assert len(StoreReader(photo.parent)) == 1


def test_two_images_under_one_name_are_refused(tmp_path, photo, pixels, records):
    writer = StoreWriter(tmp_path / "s")
    writer.write(photo, records)
    writer.write(photo, records[:1])  # again is no clash
    with pytest.raises(UsageError, match="different names"):
        writer.write(pixels, records, name="photo")


def test_a_record_of_another_image_is_refused_and_nothing_appears(tmp_path, photo, records):
    with pytest.raises(FormatError, match="photo"):
        StoreWriter(tmp_path / "s").write(photo, records, size=(64, 48))
    assert not (tmp_path / "s").exists()


def test_a_write_that_fails_leaves_the_old_pair(tmp_path, photo, records, monkeypatch):
    path = StoreWriter(tmp_path / "s").write(photo, records)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(Exception, match="full"):
        StoreWriter(tmp_path / "s").write(photo, records[:1])
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path / "s")) == ["photo.jpg", "photo.json"]


def test_a_json_is_ours_by_its_first_bytes(tmp_path):
    path = tmp_path / "x.json"
    assert not is_store_json(path)
    for text, ours in [
        ('{"image": {}', True),
        (' {\n "annotations":[]', True),
        ('{"images": []', False),
        ('{"version": 1', False),
        ("", False),
    ]:
        path.write_text(text)
        assert is_store_json(path) is ours


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        StoreReader(tmp_path / "nowhere")


@pytest.mark.parametrize("source", ["bsds500", "wbc", "balloons"])
def test_the_developers_stores_are_read_without_a_loss_and_written_again_equal(
    shared: Path, tmp_path, source
):
    folder = shared / "data/train" / source
    reader = StoreReader(folder)
    assert len(reader) == len(list(folder.glob("*.json")))
    writer = StoreWriter(tmp_path)
    for name in reader.names[:8]:
        pair = reader[name]
        path = writer.write(
            pair.source, pair.records, name=name, size=pair.info.size, image_id=pair.info.image_id
        )
        assert json.loads(path.read_bytes()) == json.loads((folder / f"{name}.json").read_bytes())
        assert pair.image().shape[:2] == pair.masks().shape[1:]
        areas = [int(np.count_nonzero(mask)) for mask in pair.masks()]
        assert areas == [record["area"] for record in pair.records]
    assert reader.broken == []
