import numpy as np
import pytest

from samkit.errors import UsageError
from samkit.pictures.contact_sheet import contact_sheet


def plain(height, width, colour):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def test_pictures_lie_in_rows_from_left_to_right():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sheet = contact_sheet([plain(40, 40, c) for c in colours], columns=2, tile=40, gap=10)
    assert sheet.shape == (110, 110, 3)
    assert [tuple(sheet[y, x]) for y, x in ((30, 30), (30, 80), (80, 30))] == colours
    assert tuple(sheet[80, 80]) == tuple(sheet[0, 0])


def test_large_pictures_shrink_to_the_tile_and_small_ones_stay():
    sheet = contact_sheet([plain(300, 100, 0), plain(20, 20, 0)], columns=2, tile=60, gap=5)
    dark = (sheet < 50).all(axis=-1)
    assert sheet.shape == (70, 135, 3)
    assert dark[:, :67].sum() == 60 * 20
    assert dark[:, 67:].sum() == 20 * 20


def test_captions_stand_below_within_their_tile():
    pictures = [plain(50, 100, (90, 90, 200))] * 2
    with_text = contact_sheet(pictures, ["mug ä", "w" * 500], columns=2, tile=100, gap=8)
    without = contact_sheet(pictures, columns=2, tile=100, gap=8)
    assert with_text.shape[0] > without.shape[0]
    assert (with_text[:58] == without[:58]).all()
    ink = (with_text[60:] < 128).all(axis=-1)
    assert ink[:, :108].any()
    assert not ink[:, 108:116].any()  # the long one ends before the gap
    assert not ink[:, 216:].any()
    assert not ink[-3:].any()


@pytest.mark.parametrize(
    ("pictures", "captions", "options"),
    [
        ([], None, {}),
        ([plain(4, 4, 0)], ["a", "b"], {}),
        ([plain(4, 4, 0)], None, {"columns": 0}),
        ([plain(4, 4, 0)[..., 0]], None, {}),
        ([plain(4, 4, 0).astype(float)], None, {}),
    ],
)
def test_what_makes_no_sheet_is_refused(pictures, captions, options):
    with pytest.raises(UsageError):
        contact_sheet(pictures, captions, **options)
