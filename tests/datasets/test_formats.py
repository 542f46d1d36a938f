import pytest

from samkit.datasets.formats import FORMATS, is_done, open_writer
from samkit.errors import UsageError


@pytest.mark.parametrize("format", FORMATS)
def test_an_image_is_done_once_it_was_written_in_that_format(tmp_path, photo, records, format):
    with open_writer(format, tmp_path / "out") as writer:
        assert not is_done(format, tmp_path / "out", "a/photo")
        written = writer.write(photo, records, name="a/photo", size=(48, 64))
        assert written.exists()
        assert is_done(format, tmp_path / "out", "a/photo")
    assert is_done(format, tmp_path / "out", "a/photo")
    for other in set(FORMATS) - {format}:
        assert not is_done(other, tmp_path / "out", "a/photo")


def test_photographs_are_copied_only_when_asked(tmp_path, photo, records):
    for copy in (False, True):
        out = tmp_path / str(copy)
        with open_writer("sa1b", out, copy_images=copy) as writer:
            writer.write(photo, records)
        assert (out / "photo.jpg").exists() is copy


def test_another_tools_json_does_not_count_as_done(tmp_path):
    (tmp_path / "photo.json").write_text('{"version": "5.0", "shapes": []}')
    assert not is_done("sa1b", tmp_path, "photo")


def test_unknown_formats_are_refused_with_the_known_ones(tmp_path):
    for ask in (lambda: open_writer("kitti", tmp_path), lambda: is_done("kitti", tmp_path, "a")):
        with pytest.raises(UsageError, match="sa1b, coco, coco-polygons, labelme"):
            ask()
