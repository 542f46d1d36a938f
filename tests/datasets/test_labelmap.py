import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from samkit.datasets.labelmap import LabelMapWriter, label_map, read_label_map
from samkit.datasets.records import from_mask
from samkit.errors import FormatError

few_masks = hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)))


@given(few_masks)
def test_each_pixel_belongs_to_the_smallest_mask_that_covers_it(masks):
    records = [from_mask(mask, number) for number, mask in enumerate(masks)]
    labels = label_map(records, masks.shape[1:])
    areas = masks.sum(axis=(1, 2))
    for y, x in np.ndindex(labels.shape):
        covering = [k for k in range(len(masks)) if masks[k, y, x]]
        best = min(covering, key=lambda k: (areas[k], -k), default=-1)
        assert labels[y, x] == best + 1


def test_a_written_map_is_read_back_equal(tmp_path, photo, records, masks):
    path = LabelMapWriter(tmp_path).write(photo, records)
    assert path == tmp_path / "photo_labels.png"
    labels = read_label_map(path)
    assert labels.dtype == np.uint16
    assert (labels == label_map(records, (48, 64))).all()
    assert (labels == 2).sum() == masks[1].sum()
    assert (labels == 1).sum() == masks[0].sum() - masks[1].sum()


def test_values_beyond_eight_bits_survive(tmp_path, photo):
    rows = np.arange(300)
    stripes = [from_mask(np.arange(48 * 64).reshape(48, 64) == k, int(k)) for k in rows]
    path = LabelMapWriter(tmp_path).write(photo, stripes)
    assert read_label_map(path).reshape(-1)[:300].tolist() == (rows + 1).tolist()


def test_pillows_own_limit_of_pixels_does_not_count(tmp_path, photo, records, monkeypatch):
    path = LabelMapWriter(tmp_path).write(photo, records)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_label_map(path).shape == (48, 64)


def test_another_kind_of_picture_is_refused(tmp_path, photo):
    Image.new("L", (4, 4)).save(tmp_path / "gray.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "gray.png").read_bytes()[:40])
    for path in (photo, tmp_path / "gray.png", tmp_path / "torn.png", tmp_path / "none.png"):
        with pytest.raises(FormatError, match=path.name):
            read_label_map(path)
