"""Parquet as others write it, many files and groups of rows, and what is broken."""

import builtins
import pickle

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from samkit.datasets import parquet_reader
from samkit.datasets.opening import open_dataset
from samkit.datasets.parquet_reader import ParquetReader
from samkit.datasets.parquet_writer import ParquetWriter
from samkit.datasets.store import StoreWriter
from samkit.errors import FormatError, UsageError
from samkit.masks import rle


@pytest.fixture
def save(tmp_path):
    """Writes rows into set/data/x.parquet and returns set/."""

    def write(*rows):
        (tmp_path / "set/data").mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), tmp_path / "set/data/x.parquet")
        return tmp_path / "set"

    return write


def image(photo, path="cats/photo.jpg"):
    return {"bytes": photo.read_bytes(), "path": path}


def test_masks_may_be_rle_or_polygons_in_objects_or_alone(save, photo, masks):
    codes = rle.encode(masks)
    square = [[[6.0, 4.0, 50.0, 4.0, 50.0, 40.0, 6.0, 40.0]]]
    for rest in (
        {"objects": {"segmentation": codes, "category": ["a", "b", "c"]}},
        {"objects": [{"segmentation": code, "category": c} for code, c in zip(codes, "abc")]},  # noqa: B905
        {"segmentation": [code["counts"] for code in codes], "category": ["a", "b", "c"]},
        {"segmentation": [rle.to_uncompressed(code) for code in codes], "category": ["a"] * 3},
        {"segmentation": square, "category": [4]},
    ):
        reader = open_dataset(save({"image": image(photo), **rest}))
        (pair,) = reader
        assert reader.broken == [] and pair.name == "photo"
        assert np.array_equal(pair.masks(), masks[: len(pair.records)])
        assert pair.image().shape == (48, 64, 3)
    assert pair.records[0]["samkit"]["labels"] == ["4"]


def test_crowds_are_left_out_unless_asked_for(save, photo, masks):
    row = {"image": image(photo), "segmentation": rle.encode(masks), "iscrowd": [0, 1, 0]}
    (pair,) = open_dataset(save(row))
    assert np.array_equal(pair.masks(), masks[[0, 2]])
    (pair,) = open_dataset(save(row), keep_crowds=True)
    assert [r.get("samkit") for r in pair.records] == [None, {"crowd": True}, None]


def test_images_may_lie_beside_the_table_or_elsewhere(save, photo, masks):
    row = {"image": {"bytes": None, "path": "photo.jpg"}, "segmentation": rle.encode(masks)}
    folder = save(row)
    assert list(open_dataset(folder)) == []
    (pair,) = open_dataset(folder, images=photo.parent)
    assert pair.image().shape == (48, 64, 3)
    reader = open_dataset(save({**row, "image": {"bytes": None, "path": "../../etc/passwd"}}))
    assert list(reader) == [] and "passwd" in reader.broken[0][1]


def test_a_mask_that_is_broken_is_named_and_the_others_are_read(save, photo, masks):
    codes = rle.encode(masks)
    codes[0] = {"size": [48, 64], "counts": "0"}
    codes[1] = {"size": [1 << 20, 1 << 20], "counts": "0"}
    reader = open_dataset(save({"image": image(photo), "segmentation": codes}))
    (pair,) = reader
    assert np.array_equal(pair.masks(), masks[2:])
    assert [name for name, _ in reader.broken] == ["photo mask 0", "photo mask 1"]


def test_rows_that_make_no_sense_are_named(save, photo, masks):
    codes = rle.encode(masks)
    good = {"image": image(photo), "segmentation": codes, "name": "good"}
    reader = open_dataset(
        save(
            {**good, "name": "../out"},
            {**good, "name": "none", "image": None},
            {**good, "name": "torn", "image": {"bytes": b"no picture", "path": "x.jpg"}},
            {**good, "name": "without", "segmentation": None},
            good,
            good,
        )
    )
    assert [pair.name for pair in reader] == ["good", "good-x-0-5"]
    assert len(reader.broken) == 4


def test_a_width_that_is_not_the_masks_is_not_believed(save, photo, masks):
    row = {"image": image(photo), "segmentation": rle.encode(masks), "width": 1 << 30, "height": 48}
    reader = open_dataset(save(row))
    assert list(reader) == [] and "pixels" in reader.broken[0][1]


@pytest.mark.parametrize("cut", [0, 3, 100, -40, -9])
def test_a_file_that_is_damaged_is_named(save, photo, masks, cut):
    folder = save({"image": image(photo), "segmentation": rle.encode(masks)})
    (file,) = (folder / "data").iterdir()
    file.write_bytes(file.read_bytes()[:cut])
    reader = open_dataset(folder)
    assert list(reader) == [] and [name for name, _ in reader.broken] == [str(file)]


def test_bytes_that_were_changed_never_crash_the_reader(save, photo, masks):
    folder = save({"image": image(photo), "segmentation": rle.encode(masks)})
    (file,) = (folder / "data").iterdir()
    data, random = bytearray(file.read_bytes()), np.random.default_rng(0)
    for _ in range(30):
        broken = data.copy()
        for place in random.integers(0, len(data), 4):
            broken[place] = random.integers(256)
        file.write_bytes(broken)
        for pair in open_dataset(folder):
            assert pair.info.size == (48, 64)


def test_a_group_of_rows_too_large_to_unpack_is_refused_before(save, photo, masks, monkeypatch):
    folder = save({"image": image(photo), "segmentation": rle.encode(masks), "name": "x" * 2000})
    monkeypatch.setattr(parquet_reader, "_LARGEST_GROUP", 1000)
    reader = open_dataset(folder)
    assert list(reader) == [] and "smaller ones" in reader.broken[0][1]


@pytest.mark.parametrize("as_dictionary", [True, False])
@pytest.mark.parametrize("length", [900, 4000])
def test_a_name_that_stands_once_for_many_rows_does_not_fill_the_memory(
    tmp_path, monkeypatch, as_dictionary, length
):
    """A dictionary holds a long text once; unpacked it is that long in every row."""
    monkeypatch.setattr(parquet_reader, "_MOST_NAMES", 1_000_000)
    rows, name = 300_000, "a/" * (length // 2) + "b"
    repeated = pyarrow.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [name])
    picture = pyarrow.StructArray.from_arrays([pyarrow.nulls(rows, "string")], ["path"])
    table = pyarrow.table({"image": picture, "name": repeated, "objects": pyarrow.nulls(rows)})
    file = tmp_path / "x.parquet"
    parquet.write_table(table, file, row_group_size=rows, store_schema=as_dictionary)
    assert file.stat().st_size < 200_000
    before = pyarrow.default_memory_pool().max_memory()
    reader = open_dataset(tmp_path)
    assert len(reader) < 2000
    assert reader.broken == [
        (str(file), f"{file} has names of too many characters and is not read.")
    ]
    assert pyarrow.default_memory_pool().max_memory() < before + 100_000_000


def test_lists_that_stay_dictionaries_are_refused(tmp_path, photo):
    row = {"image": image(photo), "segmentation": [], "category": ["a"]}
    table = pyarrow.Table.from_pylist([row])
    kind = pyarrow.list_(pyarrow.dictionary("int32", "string"))
    table = table.set_column(2, "category", pyarrow.array([["a"]], kind))
    parquet.write_table(table, tmp_path / "x.parquet")
    reader = open_dataset(tmp_path)
    assert list(reader) == [] and "dictionaries" in reader.broken[0][1]


def test_rows_larger_than_the_file_says_are_refused_while_they_are_read(
    tmp_path, photo, masks, monkeypatch
):
    rows = [
        {"image": image(photo), "segmentation": rle.encode(masks), "name": f"{n}"} for n in "ab"
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    monkeypatch.setattr(parquet_reader, "_LARGEST_GROUP", 1000)
    monkeypatch.setattr(parquet_reader, "_said_bytes", lambda *_: 100)
    reader = open_dataset(tmp_path)
    assert list(reader) == [] and [name for name, _ in reader.broken] == ["a", "b"]
    assert "smaller ones" in reader.broken[0][1]


def test_a_name_of_thousands_of_characters_is_none(save, photo, masks):
    row = {"image": image(photo), "segmentation": rle.encode(masks)}
    reader = open_dataset(
        save({**row, "name": "a/" * 499 + "b"}, {**row, "name": "a/" * 500 + "b"})
    )
    assert reader.names == ["a/" * 499 + "b"] and len(reader.broken) == 1


@pytest.mark.parametrize("path", [None, "photo", "photo.bin"])
def test_an_image_without_a_suffix_gets_that_of_its_bytes(save, tmp_path, photo, masks, path):
    reader = open_dataset(save({"image": image(photo, path), "segmentation": rle.encode(masks)}))
    (pair,) = reader
    assert pair.source.suffix == ".jpg"
    with StoreWriter(tmp_path / "store") as writer:
        writer.write(pair.source, pair.records, name=pair.name)
    (again,) = open_dataset(tmp_path / "store")
    assert again.source.read(1 << 20) == photo.read_bytes()


def test_other_tables_are_refused(save):
    folder = save({"text": "hello"})
    reader = open_dataset(folder)
    assert list(reader) == [] and "no columns" in reader.broken[0][1]
    with pytest.raises(UsageError, match="no Parquet file"):
        ParquetReader(folder / "nowhere")


def test_many_files_and_groups_are_one_dataset_and_a_reader_goes_to_other_processes(
    tmp_path, photo, records, masks
):
    with ParquetWriter(tmp_path / "out", file_bytes=1) as writer:
        for number in range(120):
            writer.write(photo, records[: number % 4], name=f"{number:03}")
    files = sorted(path.name for path in (tmp_path / "out/data").glob("*.parquet"))
    assert files == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert parquet.read_metadata(tmp_path / "out/data" / files[0]).num_rows == 100
    reader = open_dataset(tmp_path / "out")
    assert [len(pair.records) for pair in reader] == [number % 4 for number in range(120)]
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again["119"].masks(), masks)
    assert len(pickle.dumps(reader)) < len(photo.read_bytes()) * 20  # no rows travel
    assert not list((tmp_path / "out").rglob("*.jpg"))  # the parts' images are gone


def test_a_missing_package_is_one_sentence(tmp_path, save, photo, monkeypatch):
    folder = save({"image": image(photo), "segmentation": []})
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for open_it in (lambda: ParquetWriter(tmp_path), lambda: open_dataset(folder)):
        with pytest.raises(UsageError, match=r"pip install .*\[parquet\]'"):
            open_it()


def test_what_was_joined_survives_a_process_that_died_between_two_names(tmp_path, photo, records):
    with ParquetWriter(tmp_path / "out") as writer:
        writer.write(photo, records, name="a")
    (tmp_path / "out/data").rename(tmp_path / "out/.samkit-0123.old")
    with ParquetWriter(tmp_path / "out") as writer:
        writer.write(photo, records, name="b")
    assert [pair.name for pair in open_dataset(tmp_path / "out")] == ["a", "b"]


def test_a_part_that_lost_its_image_is_said(tmp_path, photo, records):
    writer = ParquetWriter(tmp_path / "out")
    part = writer.write(photo, records, name="a")
    part.with_suffix(".jpg").unlink()
    with pytest.raises(FormatError, match="lost its image"):
        writer.close()
