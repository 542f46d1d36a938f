import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samkit.errors import UsageError
from samkit.masks.crops import crop_boxes, point_grid, point_grids_all_layers


def test_official_crops(helpers):
    for case in helpers["crop_boxes"]:
        boxes, layers = crop_boxes(case["size"], case["n_layers"], case["overlap_ratio"])
        assert boxes == case["boxes"]
        assert layers == case["layers"]


def test_official_point_grids(helpers):
    for case in helpers["point_grids"]:
        grids = point_grids_all_layers(
            case["n_per_side"], case["n_layers"], case["scale_per_layer"]
        )
        assert [len(grid) for grid in grids] == case["counts"]
        assert [grid[0].tolist() for grid in grids] == case["first"]
        assert [grid[1].tolist() if len(grid) > 1 else None for grid in grids] == case["second"]
        assert [grid[-1].tolist() for grid in grids] == case["last"]
        sides = [int(len(grid) ** 0.5) for grid in grids]
        rows = [grid[:side, 0].tolist() for grid, side in zip(grids, sides, strict=True)]
        assert rows == case["x_of_row0"]


@given(st.integers(1, 40))
def test_each_cell_of_a_grid_has_its_point_in_the_middle(n):
    grid = point_grid(n)
    cells = np.floor(grid * n).astype(int)
    assert len({tuple(cell) for cell in cells}) == n * n
    np.testing.assert_allclose(grid * n - cells, 0.5, atol=1e-9)


@pytest.mark.parametrize("call", [lambda: point_grid(0), lambda: point_grids_all_layers(8, 2, 4)])
def test_a_grid_without_points_is_a_usage_error(call):
    with pytest.raises(UsageError, match="point"):
        call()


@given(st.tuples(st.integers(16, 300), st.integers(16, 300)), st.integers(0, 3))
def test_every_layer_of_crops_covers_the_image(size, n_layers):
    boxes, layers = crop_boxes(size, n_layers)
    for layer in range(n_layers + 1):
        seen = np.zeros(size, bool)
        for (left, top, right, bottom), its in zip(boxes, layers, strict=True):
            if its == layer:
                seen[top:bottom, left:right] = True
        assert seen.all() and layers.count(layer) == 4**layer
