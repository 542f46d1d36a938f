"""Synthetic scenes: the same everywhere, exact, nested, and of many kinds."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from samkit.datasets.augment import LEAST_PIXELS, LEAST_VISIBLE, random_crop
from samkit.datasets.colour_names import colour_name
from samkit.datasets.dead_leaves import LEVELS, DeadLeaves
from samkit.datasets.painting import paint
from samkit.datasets.pairs import Pair
from samkit.datasets.records import check, from_mask
from samkit.datasets.shapes import SHAPES, box, draw_one, placed
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.datasets.textures import PATTERNS, Texture, noise
from samkit.datasets.things import Part, Scene, Thing
from samkit.errors import UsageError

SIZE = 192


def fingerprint(pair: Pair) -> str:
    return hashlib.sha256(pair.image().tobytes() + pair.masks().tobytes()).hexdigest()


def plain(red: int, green: int, blue: int) -> Texture:
    """One colour."""
    table = np.tile(np.array([[[red, green, blue]]], np.uint8), (256, 1, 1))
    return Texture("plain", 20.0, 0.0, 1.0, table)


def test_a_scene_depends_on_its_seed_and_place_alone() -> None:
    first, again, other = (DeadLeaves(50, SIZE, seed) for seed in (3, 3, 4))
    forward = [fingerprint(first[index]) for index in range(4)]
    assert [fingerprint(again[index]) for index in (3, 2, 1, 0)] == forward[::-1]
    assert fingerprint(DeadLeaves(4, SIZE, 3)["0000003"]) == forward[3]
    assert fingerprint(pickle.loads(pickle.dumps(first))[1]) == forward[1]
    assert len(set(forward) | {fingerprint(other[index]) for index in range(4)}) == 8


def test_it_is_a_reader_of_pairs_with_sound_records() -> None:
    reader = DeadLeaves(3, SIZE)
    assert len(reader) == 3 and reader.names == ["0000000", "0000001", "0000002"]
    for pair, pixels in reader.with_images():
        assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
        assert len({record["id"] for record in pair.records}) == len(pair.records) > 0
        for record, mask in zip(pair.records, pair.masks(), strict=True):
            assert check(record, (SIZE, SIZE)) == record
            again = from_mask(mask, record["id"], samkit=record["samkit"])
            assert again == record
    with pytest.raises(KeyError):
        reader["0000003"]
    with pytest.raises(IndexError):
        reader[3]


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_masks_are_what_is_seen_large_enough_and_nested(seed: int) -> None:
    reader = DeadLeaves(1, SIZE, seed)
    painting = reader.paint(0)
    visible = painting.visible()
    enough = 0
    for number, region in enumerate(painting.regions):
        mask = (painting.owner >= number) & (painting.owner < region.end)
        top, bottom, left, right = region.window
        assert mask.sum() == visible[number] == painting.mask(number).sum()
        assert (painting.mask(number) == mask[top:bottom, left:right]).all()
        assert visible[number] <= region.pixels
        inner = [painting.regions[k] for k in range(number + 1, region.end)]
        assert all(part.level > region.level for part in inner)
        enough += visible[number] >= max(LEAST_PIXELS, LEAST_VISIBLE * region.pixels)
    pair = reader[0]
    assert len(pair.records) <= enough
    assert all(record["area"] >= LEAST_PIXELS for record in pair.records)
    flat = pair.masks().reshape(len(pair.records), -1).astype(np.float32)
    common, areas = flat @ flat.T, flat.sum(axis=1)
    apart = common == 0
    inside = (common == areas) | (common == areas[:, None])
    assert (apart | inside).all()


def test_the_pixels_of_a_mask_are_its_objects_and_parts_make_up_their_whole() -> None:
    halves = tuple(
        Part("half", side, plain(*colour))
        for side, colour in (
            (box(-3, -3, 0, 3), (0, 200, 0)),
            (box(0, -3, 3, 3), (0, 0, 200)),
        )
    )
    square = Part("square", box(-1, -1, 1, 1), plain(200, 0, 0), None, halves)
    spot = Part("spot", box(-0.5, -0.5, 0.5, 0.5), plain(200, 200, 0), None)
    ring = Part("ring", box(-1, -1, 1, 1), plain(0, 200, 200), box(-0.5, -0.5, 0.5, 0.5), (spot,))
    things = [Thing(square, 40.0, 0.0, 60.0, 60.0), Thing(ring, 20.0, 0.0, 110.0, 60.0)]
    painting = paint(Scene(plain(9, 9, 9), things, 0.0), SIZE, np.random.default_rng(0))
    whole, left, right, hoop, hidden = range(5)
    assert [region.name for region in painting.regions] == [
        "square",
        "half",
        "half",
        "ring",
        "spot",
    ]
    owner = painting.owner
    assert not (owner == whole).any()  # its parts cover it
    union = (owner == left) | (owner == right)
    assert ((owner >= whole) & (owner < painting.regions[whole].end) == union).all()
    assert painting.visible()[whole] == union.sum()
    assert painting.regions[whole].pixels == pytest.approx(81 * 81, abs=170)
    assert painting.regions[hidden].pixels < 90  # a part is cut to its whole, and there is a hole
    assert (owner[52:68, 102:118] == -1).all()
    strongest = painting.image.argmax(axis=2)
    inner = slice(25, 95), slice(24, 57)
    assert (owner[inner] == left).mean() > 0.99 and (strongest[inner] == 1).mean() > 0.98
    assert (owner[30:90, 64:86] == right).all() and (strongest[30:90, 64:86] == 2).mean() > 0.98
    assert (owner[50:70, 92:98] == hoop).all()


def test_masks_end_where_the_picture_changes() -> None:
    """A white disc on black: OpenCV draws edges half a pixel outside, and the mask knows it."""
    disc = Part("circle", SHAPES["circle"](np.random.default_rng(0)), plain(255, 255, 255))
    for seed in range(6):
        scene = Scene(plain(0, 0, 0), [Thing(disc, 50.3, 0.0, 90.4, 95.7)], 0.0)
        painting = paint(scene, SIZE, np.random.default_rng(seed))
        rows, columns = np.mgrid[:SIZE, :SIZE]
        distance = np.hypot(columns - 90.4, rows - 95.7)
        bright = painting.image.mean(axis=2) > 60
        assert (bright == (painting.owner == 0))[np.abs(distance - 50.8) > 2].all()
        assert ((distance < 50.8) == (painting.owner == 0))[np.abs(distance - 50.8) > 0.5].all()


def test_sizes_shapes_levels_and_labels_vary() -> None:
    reader = DeadLeaves(24, SIZE)
    records = [record for pair in reader for record in pair.records]
    own = [record["samkit"] for record in records]
    levels = [one["level"] for one in own]
    assert all(levels.count(level) > 8 for level in LEVELS)
    shapes = {one["labels"][0] for one in own}
    assert shapes >= {*SHAPES, "stripe", "half", "ground", "panel", "window", "core"}
    assert len({one["labels"][1].split()[0] for one in own if len(one["labels"]) > 1}) >= 9
    areas = np.array([record["area"] for record in records]) / SIZE**2
    assert np.quantile(areas, 0.1) < 0.005 and np.quantile(areas, 0.95) > 0.05


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_fit_a_circle_and_enclose_something(name: str) -> None:
    for seed in range(20):
        outline = SHAPES[name](np.random.default_rng(seed))
        assert all(np.isfinite(curve).all() and len(curve) >= 3 for curve in outline)
        assert max(np.abs(curve).max() for curve in outline) <= 1.35
        x, y = outline[0].T
        assert abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 > 0.05


@pytest.mark.parametrize("name", list(PATTERNS))
def test_patterns_vary_within_their_range_at_any_size(name: str) -> None:
    for height, width, period in ((1, 1, 4.0), (3, 200, 100.0), (90, 70, 9.0)):
        field = PATTERNS[name](height, width, period, 0.7, np.random.default_rng(1))
        assert field.shape == (height, width) and field.dtype == np.float32
        assert field.min() > -0.7 and field.max() < 1.7
    assert field.std() > 0.01


def test_noise_is_as_coarse_as_asked_for() -> None:
    fine, coarse = (noise(128, 128, period, np.random.default_rng(0), 0.3) for period in (4, 60))
    steps = [np.abs(np.diff(field)).mean() / field.std() for field in (fine, coarse)]
    assert steps[0] > 4 * steps[1]


def test_names_are_drawn_in_proportion_to_their_chances() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_one({"a": 1.0, "b": 3.0, "c": 0.0}, rng) for _ in range(2000)]
    assert drawn.count("c") == 0 and drawn.count("a") / 2000 == pytest.approx(0.25, abs=0.03)


def test_outlines_are_placed_by_scale_angle_and_shift() -> None:
    (corners,) = placed([np.array([[1.0, 0.0]])], 2.0, np.pi / 2, 10.0, 20.0)
    assert corners[0] == pytest.approx([10, 22])


def test_textures_come_from_photographs_and_broken_ones_are_named(tmp_path: Path) -> None:
    for number, colour in enumerate(((250, 0, 250), (240, 10, 240))):
        Image.new("RGB", (300, 200), colour).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.jpg").write_bytes(b"no photograph")
    plain_set, photo_set = DeadLeaves(6, SIZE), DeadLeaves(6, SIZE, textures=[tmp_path])
    shares = []
    for reader in (plain_set, photo_set):
        pixels = np.stack([reader[index].image() for index in range(6)]).astype(int)
        red, green, blue = np.moveaxis(pixels, -1, 0)
        shares.append(((red > 3 * green) & (blue > 3 * green) & (red > 60)).mean())
    assert shares[1] > shares[0] + 0.2
    assert [name for name, _ in photo_set.broken] == [str(tmp_path / "broken.jpg")]
    assert fingerprint(DeadLeaves(6, SIZE, textures=[tmp_path])[5]) == fingerprint(photo_set[5])


def test_it_can_be_written_as_a_store_and_cropped(tmp_path: Path) -> None:
    pair = DeadLeaves(1, SIZE)[0]
    StoreWriter(tmp_path).write(pair.source, pair.records, name=pair.name)
    (stored,) = StoreReader(tmp_path)
    assert stored.records == pair.records and (stored.image() == pair.image()).all()
    crop = random_crop(pair.image(), pair.records, 96, 192, 5, np.random.default_rng(0))
    assert len(crop.masks) > 0


def test_arguments_that_make_no_sense_are_named(tmp_path: Path) -> None:
    for arguments in ({"count": 0}, {"count": 1, "size": 20}, {"count": 1, "seed": -1}):
        with pytest.raises(UsageError, match="at least one scene"):
            DeadLeaves(**arguments)
    with pytest.raises(UsageError, match="no photographs"):
        DeadLeaves(1, textures=[tmp_path])
    with pytest.raises(UsageError, match="nowhere"):
        DeadLeaves(1, textures=[tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((120, 120, 125), "grey"),
        ((220, 20, 20), "red"),
        ((250, 140, 20), "orange"),
        ((120, 70, 40), "brown"),
        ((240, 230, 40), "yellow"),
        ((30, 160, 50), "green"),
        ((40, 200, 210), "cyan"),
        ((30, 60, 220), "blue"),
        ((130, 40, 200), "purple"),
        ((250, 120, 190), "pink"),
    ],
)
def test_colours_have_their_names(colour: tuple[int, int, int], name: str) -> None:
    assert colour_name(colour) == name
