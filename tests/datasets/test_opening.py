"""What is found at a path: every format that is read, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samkit.datasets.coco import CocoReader, CocoWriter
from samkit.datasets.folder import MaskFolderReader
from samkit.datasets.labelme import LabelmeReader
from samkit.datasets.mask_pictures import MaskPicturesReader
from samkit.datasets.opening import open_dataset
from samkit.datasets.pairs import PairReader
from samkit.datasets.png import PngWriter
from samkit.datasets.shards import ShardWriter
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.errors import FormatError, UsageError
from samkit.masks import rle


def labelme(folder: Path, photo: Path) -> None:
    """A file of labelme's for a copy of the photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photo.jpg").write_bytes(photo.read_bytes())
    shape = {"label": "box", "points": [[6, 4], [50, 40]], "shape_type": "rectangle"}
    value = {"version": "5.0", "imagePath": "photo.jpg", "imageWidth": 64, "imageHeight": 48}
    (folder / "photo.json").write_text(json.dumps({**value, "shapes": [shape]}))


def coco(file: Path, masks: np.ndarray, name: str = "photo.jpg") -> None:
    """A COCO JSON of one image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = {"id": 3, "width": 64, "height": 48, "file_name": name}
    annotations = [
        {"id": k, "image_id": 3, "category_id": 1, "segmentation": code}
        for k, code in enumerate(rle.encode(masks))
    ]
    value = {"images": [image], "annotations": annotations, "categories": []}
    file.write_text(json.dumps(value))


def put(photo: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(photo.read_bytes())


def holds(reader: PairReader, masks: np.ndarray) -> bool:
    """Whether it reads one pair with the photograph and these masks, and nothing is broken."""
    (pair,) = reader
    return pair.image().shape == (48, 64, 3) and (pair.masks() == masks).all() and not reader.broken


def test_a_store_in_a_folder_in_tars_and_in_one_tar(tmp_path, photo, records, masks):
    StoreWriter(tmp_path / "pairs").write(photo, records, name="deep/in/it")
    with ShardWriter(tmp_path / "tars") as writer:
        writer.write(photo, records)
    (tmp_path / "official").mkdir()
    (tar,) = (tmp_path / "tars").glob("*.tar")
    (tmp_path / "official/sa_000001.tar").write_bytes(tar.read_bytes())
    for path in ("pairs", "tars", "official", "official/sa_000001.tar"):
        reader = open_dataset(tmp_path / path)
        assert isinstance(reader, StoreReader) and holds(reader, masks)


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("set/instances.json", "set/photo.jpg"),
        ("set/_annotations.coco.json", "set/photo.jpg"),
        ("set/instances.json", "set/images/photo.jpg"),
        ("set/annotations/instances.json", "set/images/photo.jpg"),
        ("set/annotations/instances_val2017.json", "set/val2017/photo.jpg"),
        ("set/annotations/instances_val2017.json", "set/images/val2017/photo.jpg"),
    ],
)
def test_a_coco_json_finds_its_images_where_they_usually_lie(tmp_path, photo, masks, file, image):
    coco(tmp_path / file, masks)
    put(photo, tmp_path / image)
    for path in (tmp_path / file, tmp_path / "set"):
        reader = open_dataset(path)
        assert isinstance(reader, CocoReader) and holds(reader, masks)


def test_a_coco_json_whose_images_are_elsewhere_is_told_of_them(tmp_path, photo, masks):
    coco(tmp_path / "set/instances.json", masks)
    with pytest.raises(UsageError, match="name their folder"):
        open_dataset(tmp_path / "set/instances.json")
    reader = open_dataset(tmp_path / "set/instances.json", images=photo.parent)
    assert holds(reader, masks)
    with pytest.raises(UsageError, match="nowhere"):
        open_dataset(tmp_path / "set", images=tmp_path / "nowhere")


def test_names_that_lead_out_are_not_looked_for_and_an_empty_coco_json_is_read(tmp_path, masks):
    coco(tmp_path / "set/instances.json", masks, name="../../etc/passwd")
    reader = open_dataset(tmp_path / "set/instances.json")
    assert list(reader) == [] and len(reader.broken) == 4
    (tmp_path / "none.json").write_text('{"images": [], "annotations": []}')
    assert len(open_dataset(tmp_path / "none.json")) == 0


def test_what_our_own_writers_leave_is_read(tmp_path, photo, records, masks):
    with CocoWriter(photo.parent) as writer:
        writer.write(photo, records)
    assert holds(open_dataset(photo.parent), masks)
    put(photo, tmp_path / "set/images/photo.jpg")
    PngWriter(tmp_path / "set/masks").write(photo, records)
    reader = open_dataset(tmp_path / "set")
    assert isinstance(reader, MaskPicturesReader) and holds(reader, masks)
    assert [record["samkit"]["file"] for record in reader[0].records] == [
        f"{number}.png" for number in range(3)
    ]


def test_a_folder_of_labelme_files(tmp_path, photo):
    labelme(tmp_path / "set/sub", photo)
    reader = open_dataset(tmp_path / "set")
    assert isinstance(reader, LabelmeReader)
    (pair,) = reader
    assert pair.name == "sub/photo" and pair.records[0]["samkit"]["labels"] == ["box"]


@pytest.mark.parametrize("sub", ["", "a/b/"])
def test_images_and_masks_as_index_or_as_colours(tmp_path, photo, masks, sub):
    put(photo, tmp_path / f"set/images/{sub}photo.jpg")
    target = tmp_path / f"set/masks/{sub}photo.png"
    target.parent.mkdir(parents=True)
    index = (masks[0] * 5 + masks[2] * 9).astype(np.uint8)
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[masks[0]], colours[masks[2]] = (0, 0, 50), (0, 70, 0)
    for picture in (index, colours):
        Image.fromarray(picture).save(target)
        reader = open_dataset(tmp_path / "set")
        assert isinstance(reader, MaskFolderReader) and holds(reader, masks[[0, 2]])
    other = open_dataset(tmp_path / "set/masks", format="masks", images=tmp_path / "set/images")
    assert holds(other, masks[[0, 2]])


def test_a_picture_for_each_mask_in_the_order_of_their_numbers(tmp_path, photo, masks):
    put(photo, tmp_path / "set/images/photo.jpg")
    folder = tmp_path / "set/masks/photo"
    folder.mkdir(parents=True)
    for number, mask in zip((2, 10, 1), masks, strict=True):
        Image.fromarray(mask).save(folder / f"{number}.png")
    assert holds(open_dataset(tmp_path / "set"), masks[[2, 0, 1]])
    Image.fromarray(np.zeros((48, 64), bool)).save(folder / "11.png")
    Image.fromarray(np.ones((5, 5), bool)).save(folder / "12.png")
    (folder / "13.png").write_bytes(b"no picture")
    (tmp_path / "set/masks/stranger").mkdir()
    Image.fromarray(masks[0]).save(tmp_path / "set/masks/stranger/0.png")
    reader = open_dataset(tmp_path / "set")
    (pair,) = reader
    assert len(pair.records) == 3
    broken = {"photo/11.png", "photo/12.png", "photo/13.png", "stranger"}
    assert {name for name, _ in reader.broken} == broken
    for path in folder.glob("?*.png"):
        path.write_bytes(b"")
    with pytest.raises(FormatError, match="no mask"):
        open_dataset(tmp_path / "set")["photo"]
    with pytest.raises(UsageError, match="nowhere"):
        MaskPicturesReader(tmp_path / "nowhere", folder)


def test_nothing_that_is_known_is_refused_in_one_sentence_that_says_what_is(tmp_path, photo):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty" / "package.json").write_text('{"name": "x"}')
    (tmp_path / "empty" / "broken.json").write_text('{"shapes": [')
    (tmp_path / "empty" / "list.json").write_text("[1, 2]")
    for path in (tmp_path / "empty", tmp_path / "notes.txt", photo.parent, photo):
        with pytest.raises(UsageError, match=r"store.*COCO.*labelme.*masks/") as caught:
            open_dataset(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    with pytest.raises(UsageError, match="no file or folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no format 'kitti'"):
        open_dataset(tmp_path / "empty", format="kitti")
    with pytest.raises(FormatError, match="lacks the lists"):
        open_dataset(tmp_path / "empty" / "package.json")
    with pytest.raises(FormatError, match="JSON"):
        open_dataset(tmp_path / "empty" / "broken.json")


def test_several_kinds_in_one_folder_are_not_guessed_among(tmp_path, photo, records, masks):
    labelme(tmp_path / "set/one", photo)
    StoreWriter(tmp_path / "set/two").write(photo, records)
    with pytest.raises(UsageError, match=r"several kinds \(labelme, sa1b\)"):
        open_dataset(tmp_path / "set")
    assert isinstance(open_dataset(tmp_path / "set/one"), LabelmeReader)
    assert holds(open_dataset(tmp_path / "set/two"), masks)
    reader = open_dataset(tmp_path / "set", format="sa1b")
    assert len(list(reader)) == 1 and len(reader.broken) == 1


def test_of_several_coco_files_one_must_be_named(tmp_path, photo, masks):
    put(photo, tmp_path / "set/photo.jpg")
    for name in ("instances_train.json", "instances_val.json"):
        coco(tmp_path / "set" / name, masks)
    with pytest.raises(UsageError, match=r"several files of COCO's"):
        open_dataset(tmp_path / "set")
    assert holds(open_dataset(tmp_path / "set/instances_val.json"), masks)
    with pytest.raises(UsageError, match="no file of COCO's"):
        open_dataset(photo.parent, format="coco")


def test_a_broken_file_does_not_hide_a_dataset(tmp_path, photo, records):
    StoreWriter(tmp_path / "set").write(photo, records)
    (tmp_path / "set/a.json").write_bytes(b'{"image": {"file_name"')
    (tmp_path / "set/b.json").write_text("[" * 100_000)
    (tmp_path / "set/.hidden").mkdir()
    (tmp_path / "set/.hidden/c.json").write_text('{"shapes": []}')
    reader = open_dataset(tmp_path / "set")
    assert [pair.name for pair in reader] == ["photo"]
    assert {name for name, _ in reader.broken} == {"a", "b"}


def test_the_developers_data_is_a_store(shared: Path) -> None:
    reader = open_dataset(shared / "data" / "train")
    assert isinstance(reader, StoreReader)
