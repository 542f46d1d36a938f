import numpy as np
import pytest
from PIL import Image

from samkit.errors import FormatError, SamkitError, UsageError
from samkit.masks import rle
from samkit.pictures import contours
from samkit.pictures.colours import oklab
from samkit.pictures.contours import Stroke, crop_mask, draw_contour
from samkit.pictures.overlay import default_line_width, draw_overlay
from samkit.pictures.saving import save_picture

GRAY = np.full((60, 80, 3), 128, dtype=np.uint8)


def disc(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


@pytest.fixture
def masks():
    """A large disc, a small one inside it, and one apart."""
    return np.stack([disc(60, 80, 30, 30, 25), disc(60, 80, 32, 30, 9), disc(60, 80, 70, 10, 6)])


def test_the_input_is_left_alone_and_pixels_far_from_masks_too(masks):
    before = GRAY.copy()
    picture = draw_overlay(GRAY, masks)
    assert (before == GRAY).all()
    assert picture.shape == GRAY.shape
    assert picture.dtype == np.uint8
    assert (picture[50:, 62:] == 128).all()
    assert (picture[30, 10] != 128).any()


def test_small_masks_lie_on_large_ones_in_whatever_order_they_come(masks):
    picture = draw_overlay(GRAY, masks)
    assert (picture == draw_overlay(GRAY, masks[::-1])).all()
    large, small, apart = picture[30, 12], picture[30, 32], picture[10, 70]
    assert len({tuple(colour) for colour in (large, small, apart)}) == 3


def test_overlapping_fills_do_not_add_up(masks):
    black = np.zeros_like(GRAY)
    picture = draw_overlay(black, [masks[1]] * 20, fill=0.3, line_width=0)
    assert 20 < picture[30, 32].max() <= round(0.3 * 255) + 1


def test_masks_that_touch_get_colours_that_are_easy_to_tell_apart():
    rows, columns = np.mgrid[:100, :100]
    cells = rows // 10 * 10 + columns // 10
    picture = draw_overlay(
        np.zeros((100, 100, 3), np.uint8), [cells == k for k in range(100)], fill=1, line_width=0
    )
    lab = oklab(picture[5::10, 5::10])
    for axis in (0, 1):
        assert np.linalg.norm(np.diff(lab, axis=axis), axis=-1).min() > 0.15


def test_arrays_rles_and_records_give_the_same_picture(masks):
    rles = rle.encode(masks)
    pictures = [
        draw_overlay(GRAY, given)
        for given in (
            masks,
            list(masks),
            rles,
            [rle.to_uncompressed(value) for value in rles],
            [{"segmentation": value, "area": 1} for value in rles],
            [{"segmentation": mask} for mask in masks],
            iter([np.asarray(Image.fromarray(mask)) for mask in masks]),  # bools of 255
        )
    ]
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_no_masks_and_empty_masks_change_nothing():
    for nothing in ([], np.zeros((0, 60, 80), bool), np.zeros((2, 60, 80), bool)):
        assert (draw_overlay(GRAY, nothing) == GRAY).all()


def test_a_mask_of_the_whole_image_has_no_line_along_the_border():
    assert (draw_overlay(GRAY, np.ones((1, 60, 80), bool), fill=0) == GRAY).all()
    half = np.zeros((60, 80), bool)
    half[:, :40] = True
    picture = draw_overlay(GRAY, [half], fill=0)
    assert (picture[:, :34] == 128).all()
    assert (picture[:, 39:41] != 128).any(axis=-1).all()


def test_a_line_is_as_wide_as_asked_and_lies_on_the_edge():
    half = np.zeros((40, 200), bool)
    half[:, :100] = True
    for width in (1.0, 2.0, 3.5, 8.0):
        picture = np.zeros((40, 200, 3), np.uint8)
        draw_contour(picture, crop_mask(half), [Stroke((255, 255, 255), width)])
        row = picture[20, :, 0] / 255
        assert row.sum() == pytest.approx(width, abs=0.2)
        assert (row * (np.arange(200) + 0.5)).sum() / row.sum() == pytest.approx(100, abs=0.1)


def test_a_tiny_mask_on_a_large_image_can_be_seen():
    image = np.zeros((1500, 2000, 3), np.uint8)
    speck = np.zeros((1500, 2000), bool)
    speck[700:702, 900:902] = True
    assert draw_overlay(image, [speck]).max() > 100


def test_tiles_leave_no_seams(monkeypatch, masks):
    picture = draw_overlay(GRAY, masks)
    monkeypatch.setattr(contours, "_TILE", 7)
    assert (draw_overlay(GRAY, masks) == picture).all()


def test_lines_grow_with_the_image_and_stay_thin():
    widths = [default_line_width((side, side // 2)) for side in (32, 512, 1024, 4000)]
    assert widths == sorted(widths)
    assert widths[0] >= 1
    assert widths[-1] < 6


@pytest.mark.parametrize(
    ("image", "masks", "error"),
    [
        (GRAY.astype(float), [], UsageError),
        (GRAY[..., 0], [], UsageError),
        (GRAY[..., :2], [], UsageError),
        ("photo.jpg", [], UsageError),
        (GRAY, [np.ones((80, 60), bool)], UsageError),
        (GRAY, [np.ones((1, 60, 80), bool)], UsageError),
        (GRAY, [{"size": [60, 80], "counts": "x"}], FormatError),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(image, masks, error):
    with pytest.raises(error) as caught:
        draw_overlay(image, masks)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_picture_is_saved_by_its_suffix(tmp_path, masks, suffix):
    picture = draw_overlay(GRAY, masks)
    save_picture(tmp_path / f"p{suffix}", picture)
    with Image.open(tmp_path / f"p{suffix}") as image:
        saved = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(saved - picture).mean() < (1e-9 if suffix == ".png" else 6)


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(SamkitError, match=r"\.gif"):
        save_picture(tmp_path / "p.gif", GRAY)
