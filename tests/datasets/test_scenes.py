"""Layouts of synthetic scenes: leaves of all sizes, walls of panels, colonies of one kind."""

import numpy as np
import pytest

from samkit.datasets.colonies import MOST_MEMBERS, draw_colony
from samkit.datasets.leaves import LARGEST, MOST_LEAVES, SMALLEST, draw_leaves
from samkit.datasets.painting import paint
from samkit.datasets.scenes import LAYOUTS, Layout, draw_scene
from samkit.datasets.shapes import SHAPES
from samkit.datasets.textures import draw_colour
from samkit.datasets.things import Palette, Part, Scene, Thing
from samkit.datasets.walls import MOST_OPENINGS, draw_wall

SIZE = 192
SEEDS = range(30)


def palette(seed: int) -> tuple[Palette, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return Palette(SIZE, [draw_colour(rng)], []), rng


def sides(part: Part) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of a part's outline."""
    points = np.concatenate(part.outline)
    return (*points.min(axis=0), *points.max(axis=0))


def area(part: Part) -> float:
    x0, y0, x1, y1 = sides(part)
    return (x1 - x0) * (y1 - y0)


def test_leaves_are_many_and_of_all_sizes() -> None:
    scenes = [draw_leaves(*palette(seed)) for seed in SEEDS]
    counts = [len(things) for things in scenes]
    assert np.median(counts) > 20 and max(counts) <= MOST_LEAVES
    radii = [
        thing.radius / SIZE for things in scenes for thing in things if thing.part.name != "ground"
    ]
    assert min(radii) > 0.8 * SMALLEST and max(radii) < 1.2 * LARGEST
    assert np.quantile(radii, 0.1) < 0.05 and np.quantile(radii, 0.9) > 0.15


def test_the_panels_of_a_wall_make_up_one_upright_rectangle() -> None:
    for seed in SEEDS:
        things = draw_wall(*palette(seed))
        assert {(thing.radius, thing.angle, thing.x, thing.y) for thing in things} == {
            (things[0].radius, things[0].angle, SIZE / 2, SIZE / 2)
        }
        assert abs(things[0].angle) < 0.2
        panels = [thing.part for thing in things if thing.part.name == "panel"]
        corners = np.array([sides(panel) for panel in panels])
        x0, y0, x1, y1 = *corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)
        assert sum(map(area, panels)) == pytest.approx((x1 - x0) * (y1 - y0))


def test_openings_lie_in_rows_inside_one_panel_and_are_alike() -> None:
    kinds = set()
    for seed in SEEDS:
        parts = [thing.part for thing in draw_wall(*palette(seed))]
        panels = [part for part in parts if part.name == "panel"]
        on_top = [part for part in parts if part.name != "panel"]
        assert len(on_top) <= MOST_OPENINGS
        for opening in on_top + [part for panel in panels for part in panel.parts]:
            x0, y0, x1, y1 = sides(opening)
            around = [
                panel
                for panel in panels
                if sides(panel)[0] < x0
                and sides(panel)[1] < y0
                and x1 < sides(panel)[2]
                and y1 < sides(panel)[3]
            ]
            assert len(around) == 1
            kinds.add(opening.name)
        for panel in panels:
            corners = np.array([sides(part) for part in panel.parts]).reshape(-1, 4)
            spans = corners[:, 2:] - corners[:, :2]
            assert np.allclose(spans, spans[:1])
            columns, rows = (len(np.unique(corners[:, axis].round(6))) for axis in (0, 1))
            assert len(corners) == columns * rows or len(corners) == 0
    assert kinds == {"window", "plate", "arch"}


def test_an_upright_window_fills_its_box() -> None:
    """Panes and frame together are one rectangle: the mask of the whole is its bounding box."""
    seen = 0
    for seed in SEEDS:
        things = [thing for thing in draw_wall(*palette(seed)) if thing.angle == 0]
        scene = Scene(palette(seed)[0].texture(np.random.default_rng(0)), things, 0.0)
        painting = paint(scene, SIZE, np.random.default_rng(seed))
        for number, region in enumerate(painting.regions):
            if region.name == "window" and region.pixels >= 64:
                mask = painting.mask(number)
                rows, columns = mask.any(axis=1), mask.any(axis=0)
                assert mask[rows][:, columns][1:-1, 1:-1].all()  # OpenCV frays corners
                assert mask.sum() > 0.85 * rows.sum() * columns.sum()
                seen += 1
    assert seen > 50


def test_a_colony_is_of_one_kind_and_lies_apart_or_touches() -> None:
    cores = 0
    for seed in SEEDS:
        things = draw_colony(*palette(seed))
        assert len(things) <= MOST_MEMBERS
        assert len({id(thing.part.texture) for thing in things}) <= 1
        assert len({thing.part.name for thing in things}) <= 1
        assert all(thing.part.name in SHAPES for thing in things)
        assert all(0 <= side < SIZE for thing in things for side in (thing.x, thing.y))
        cores += any(thing.part.parts for thing in things)
        if len(things) > 10:
            places = np.array([(thing.x, thing.y) for thing in things])
            far = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(len(places)) * SIZE
            middle = np.median([thing.radius for thing in things])
            assert 1.0 < np.median(far.min(axis=1)) / middle < 6.0
    assert 5 < cores < 25


def test_scenes_come_in_every_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def spied(name: str) -> Layout:
        own = LAYOUTS[name]

        def layout(palette: Palette, rng: np.random.Generator) -> list[Thing]:
            drawn.append((name, len(palette.photos)))
            return own(palette, rng)

        return layout

    for name in LAYOUTS:
        monkeypatch.setitem(LAYOUTS, name, spied(name))
    photo = np.zeros((40, 40, 3), np.uint8)
    for seed in range(60):
        draw_scene(SIZE, [photo], np.random.default_rng(seed))
    names = [name for name, _ in drawn]
    assert names.count("leaves") > names.count("wall") > 5 < names.count("colony")
    assert all(photos == 1 for name, photos in drawn if name == "leaves")
    assert {photos for name, photos in drawn if name != "leaves"} == {0, 1}
