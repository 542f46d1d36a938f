import pytest

from samkit import images
from samkit.datasets.formats import FORMATS, copy_of, files_of, is_done, open_writer
from samkit.datasets.opening import open_dataset
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


NAMES = ("a.b", "a_b", "a%2Eb", "a%b", "v1.5/x", "v1_5/x")


@pytest.mark.parametrize("format", FORMATS)
def test_names_that_look_alike_stay_apart(tmp_path, photo, records, format):
    with open_writer(format, tmp_path, copy_images=True) as writer:
        for name in NAMES:
            assert not is_done(format, tmp_path, name)
            writer.write(photo, records, name=name)
            assert is_done(format, tmp_path, name)
            assert all((tmp_path / file).exists() for file in files_of(format, name))
    if format not in ("png", "labelmap"):
        assert sorted(pair.name for pair in open_dataset(tmp_path)) == sorted(NAMES)


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


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in ("sa1b", "png", "labelmap")])
def test_a_dataset_without_images_is_one_nevertheless(tmp_path, format):
    with open_writer(format, tmp_path / "out"):
        pass
    if format not in ("labelme", "yolo", "voc"):  # which are folders and need not be there
        assert len(open_dataset(tmp_path / "out")) == 0


@pytest.mark.parametrize("format", FORMATS)
def test_an_image_that_was_half_written_is_written_again(tmp_path, photo, records, format):
    """As a process leaves it that was killed at any moment: some of the files are missing."""
    out = tmp_path / "out"
    with open_writer(format, out, copy_images=True) as writer:
        writer.write(photo, records)
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in ("metadata.csv", "photo.json"):
            data = path.read_bytes()
            path.unlink()
            killed = open_writer(format, out, copy_images=True)
            killed.write(photo, records)
            if path.exists():
                assert path.read_bytes() == data
            path.write_bytes(data)


def test_where_a_copy_of_an_image_lies(tmp_path, photo, records):
    for format in FORMATS:
        with open_writer(format, tmp_path / format, copy_images=True) as writer:
            writer.write(photo, records, name="sub/a")
        place = copy_of(format, "sub/a", ".JPG")
        if place is None:
            assert not list((tmp_path / format).rglob("*.jpg"))
        else:
            assert (tmp_path / format / place).read_bytes() == photo.read_bytes()
        assert all((tmp_path / format / file).exists() for file in files_of(format, "sub/a"))


@pytest.mark.parametrize("format", FORMATS)
def test_every_picture_that_is_written_is_listed(tmp_path, photo, records, format):
    with open_writer(format, tmp_path / "out", copy_images=True) as writer:
        writer.write(photo, records, name="sub/a")
    listed = [tmp_path / "out" / file for file in files_of(format, "sub/a")]
    listed += [tmp_path / "out" / (copy_of(format, "sub/a", ".jpg") or "")]
    for path in images.walk([tmp_path / "out"]):
        assert path in listed or path.parent in listed
