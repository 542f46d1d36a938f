import numpy as np
import pytest
from PIL import Image

from samkit.datasets.folder import MaskFolderReader
from samkit.errors import FormatError, UsageError


@pytest.fixture
def folders(tmp_path, photo):
    """The photograph's folder and an empty one for mask pictures."""
    (tmp_path / "masks").mkdir()
    return photo.parent, tmp_path / "masks"


@pytest.fixture
def labels(masks):
    """An index of two masks, 7 and 300."""
    return (masks[0] * 7 + masks[2] * 300).astype(np.uint16)


def values(pair):
    return [record["samkit"]["value"] for record in pair.records]


def test_each_value_of_an_index_is_a_mask_in_8_and_16_bits_and_palettes(folders, labels, masks):
    images, folder = folders
    small = np.where(labels == 300, 200, labels).astype(np.uint8)
    palette = Image.fromarray(small)
    palette.putpalette([0, 0, 0] * 256)  # colours say nothing, the index does
    for picture in (Image.fromarray(labels), Image.fromarray(small), palette):
        picture.save(folder / "photo.png")
        (pair,) = MaskFolderReader(images, folder)
        assert values(pair) in ([7, 300], [7, 200])
        assert (pair.masks() == masks[[0, 2]]).all()
        assert pair.image().shape == (48, 64, 3)


def test_each_colour_is_a_mask_and_black_is_none(folders, masks):
    images, folder = folders
    colours = np.zeros((48, 64, 3), dtype=np.uint8)
    colours[masks[0]] = (0, 0, 9)
    colours[masks[1]] = (1, 2, 3)
    Image.fromarray(colours).save(folder / "photo.png")
    (pair,) = MaskFolderReader(images, folder)
    assert values(pair) == [9, 0x010203]
    assert (pair.mask(1) == masks[1]).all()
    reader = MaskFolderReader(images, folder, kind="index")
    assert list(reader) == []
    assert "colour" in reader.broken[0][1]


def test_ignored_values_are_no_masks(folders, labels):
    images, folder = folders
    Image.fromarray(labels).save(folder / "photo.png")
    (pair,) = MaskFolderReader(images, folder, ignore=(300,))
    assert values(pair) == [7]


def test_pillows_own_limit_of_pixels_does_not_count(folders, labels, monkeypatch):
    images, folder = folders
    Image.fromarray(labels).save(folder / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (pair,) = MaskFolderReader(images, folder)
    assert values(pair) == [7, 300]


def test_what_does_not_fit_together_is_named(folders, labels):
    images, folder = folders
    Image.fromarray(labels).save(folder / "stranger.png")
    Image.fromarray(labels[:5]).save(folder / "photo.png")
    reader = MaskFolderReader(images, folder)
    with pytest.raises(FormatError, match="48"):
        reader["photo"].image()
    assert [name for name, _ in reader.broken] == ["stranger"]
    (folder / "photo.png").write_bytes(b"no picture")
    assert list(MaskFolderReader(images, folder)) == []
    with pytest.raises(UsageError, match="nowhere"):
        MaskFolderReader(images, folder / "nowhere")
