"""Crops depend on the step and their place in the batch alone; broken images are left out."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samkit.datasets.dead_leaves import DeadLeaves
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.errors import SamkitError, UsageError
from samkit.masks import rle
from samkit.training.loader import CropLoader
from samkit.training.photographs import Photographs, is_held_out
from samkit.training.recipes import Recipe, View
from samkit.training.watch import sample_photos


def equal(a, b) -> bool:
    return np.array_equal(a.image, b.image) and np.array_equal(a.masks, b.masks)


def test_crops_depend_on_their_number_alone(photographs: Photographs, recipe: Recipe) -> None:
    loader = CropLoader(photographs, recipe, 128, whole_input=False)
    ahead = list(loader.batches(0, 6, range(2), workers=3))
    assert len(ahead) == 6
    for step in (0, 3, 5):
        for number in range(2):
            assert equal(ahead[step][number], loader.crop(step, number))
    half = list(loader.batches(2, 4, range(1, 2)))
    assert [len(batch) for batch in half] == [1, 1]
    assert equal(half[0][0], ahead[2][1])


@pytest.mark.parametrize("kind", ["whole", "crop", "jitter"])
def test_every_view_fills_its_square_and_shows_masks(
    photographs: Photographs, recipe: Recipe, kind: str
) -> None:
    recipe = replace(recipe, views=(View(kind, 2, 0.5),), jitter_scale=(0.5, 2.0))
    loader = CropLoader(photographs, recipe, 128, whole_input=False)
    side = 64 if kind == "crop" else 128
    for step in range(5):
        crop = loader.crop(step, 0)
        assert crop.image.shape == (side, side, 3)
        assert crop.masks.shape[1:] == (side, side) and 1 <= len(crop.masks) <= 2
    vit = CropLoader(photographs, recipe, 128, whole_input=True)
    assert vit.crop(0, 0).image.shape == (128, 128, 3)


def test_pasted_objects_are_masks_of_the_crop(photographs: Photographs, recipe: Recipe) -> None:
    plain = CropLoader(photographs, recipe, 128, whole_input=False)
    pasting = CropLoader(photographs, replace(recipe, copy_paste=1.0), 128, whole_input=False)
    assert any(not equal(plain.crop(step, 0), pasting.crop(step, 0)) for step in range(5))


def test_a_source_is_drawn_by_its_images_or_by_its_masks(tmp_path: Path, recipe: Recipe) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for source, images, masks in (("few", 2, 9), ("many", 40, 2)):
            for i in range(images):
                squares = np.zeros((masks, 60, 60), bool)
                for k in range(masks):
                    squares[k, 20 * (k // 3) :, 20 * (k % 3) :][:18, :18] = True
                records = [from_mask(mask, k + 1) for k, mask in enumerate(squares)]
                writer.write(np.zeros((60, 60, 3), np.uint8), records, name=f"{source}/{i}")
    (tmp_path / "store" / "many" / "0.json").write_text("no record")
    photographs = Photographs([("store", StoreReader(tmp_path / "store"))])
    assert list(photographs.sources) == ["few", "many"]
    assert photographs.sizes("images") == [2, 40]
    assert photographs.sizes("masks") == [18, pytest.approx(40 * 2 * 31 / 32)]  # one is broken
    by_masks = replace(recipe, source_size="masks", source_power=0.5)
    loader = CropLoader(photographs, by_masks, 128, whole_input=False)
    assert loader.chances == pytest.approx(np.sqrt([18, 77.5]) / np.sqrt([18, 77.5]).sum())


def test_broken_images_are_named_and_left_out(store: Path, tmp_path: Path, recipe: Recipe) -> None:
    shutil.copytree(store, tmp_path / "copy")
    (tmp_path / "copy" / "a" / "0.png").write_bytes(b"no picture")
    photographs = Photographs([("copy", StoreReader(tmp_path / "copy"))])
    loader = CropLoader(photographs, recipe, 128, whole_input=False)
    for step in range(10):
        loader.crop(step, 0)
    assert list(photographs.broken) == ["a/0"]


def test_what_a_record_says_of_its_area_and_box_is_not_trusted(
    store: Path, tmp_path: Path, recipe: Recipe
) -> None:
    shutil.copytree(store, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.json"):
        document = json.loads(path.read_text())
        for annotation in document["annotations"]:
            annotation |= {"area": 100, "bbox": [0, 0, 9, 9]}
        path.write_text(json.dumps(document))
    true, wrong = (Photographs([("s", StoreReader(at))]) for at in (store, tmp_path / "copy"))
    loaders = [CropLoader(photos, recipe, 128, whole_input=False) for photos in (true, wrong)]
    for step in range(5):
        assert equal(loaders[0].crop(step, 0), loaders[1].crop(step, 0))


def test_a_mask_without_a_pixel_is_named_and_left_out(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "copy")
    path = tmp_path / "copy" / "a" / "0.json"
    document = json.loads(path.read_text())
    (empty,) = rle.encode(np.zeros((1, 90, 120), bool))
    document["annotations"][1] |= {"area": 5000, "segmentation": empty}
    path.write_text(json.dumps(document))
    photographs = Photographs([("copy", StoreReader(tmp_path / "copy"))])
    (photo,) = (p for p in sample_photos(photographs) if p.name == "a/0")
    assert [annotation["id"] for annotation in photo.annotations] == [1]
    assert photographs.broken == {"a/0 annotation 1": "Record 2 has a mask without a pixel."}


def test_images_without_usable_masks_end_the_run(store: Path, recipe: Recipe, monkeypatch) -> None:
    monkeypatch.setattr("samkit.training.loader.TRIES", 5)
    photographs = Photographs([("store", StoreReader(store))])
    tiny_scale = replace(recipe, crop_scale=(0.01, 0.01))
    with pytest.raises(SamkitError, match="5 images in a row"):
        CropLoader(photographs, tiny_scale, 128, whole_input=False).crop(0, 0)


def test_images_kept_aside_are_never_trained_on(store: Path) -> None:
    photographs = Photographs([("store", StoreReader(store))], held_out=0.3)
    aside = {place.name for place in photographs.kept_aside}
    trained = {place.name for places in photographs.sources.values() for place in places}
    assert aside and trained and not aside & trained
    for name in aside | trained:
        assert (name in aside) == is_held_out(*name.split("/"), 0.3)


def test_images_that_a_hash_of_their_names_left_for_training_are_kept_aside_all_the_same() -> None:
    names = [str(number) for number in range(2000)]
    left = [n for n in names if hashlib.sha256(f"a/{n}".encode()).digest()[0] >= 31]
    aside = sum(is_held_out("a", name, 0.05) for name in left)
    assert 0.03 < aside / len(left) < 0.07


def test_synthetic_scenes_are_never_kept_aside(store: Path) -> None:
    photographs = Photographs([("s", StoreReader(store))], 1.0, synthetic=DeadLeaves(3, size=64))
    assert len(photographs.kept_aside) == 4
    assert {name: len(places) for name, places in photographs.sources.items()} == {"synthetic": 3}
    assert photographs.read(photographs.sources["synthetic"][0]).source == "synthetic"


def test_a_dataset_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled images in empty"):
        Photographs([("empty", StoreReader(tmp_path))])
