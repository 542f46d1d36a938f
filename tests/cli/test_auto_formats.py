"""`samkit auto` into the formats of other tools."""

from pathlib import Path

import pytest

from samkit.datasets.opening import open_dataset


@pytest.mark.parametrize(
    ("format", "lost"),
    [
        (
            "yolo",
            "yolo cannot hold everything, this was lost: {n} masks' scores, {n} masks' prompts.",
        ),
        ("parquet", None),
    ],
)
def test_the_output_is_a_dataset_and_what_was_lost_is_said(
    format, lost, photos, everything, samkit
):
    copy = ["--copy-images"] if format == "yolo" else []
    words = ["auto", photos, "-o", "out", "--format", format, *copy, everything]
    done = samkit(words)
    assert done.code == 0, done.err
    pairs = list(open_dataset("out"))
    assert [pair.name for pair in pairs] == ["a", "sub/b"]
    count = sum(len(pair.records) for pair in pairs)
    assert count > 0 and f"{count} masks of 2 images ({format})" in done.out
    assert done.out.splitlines()[1:] == ([lost.format(n=count)] if lost else [])
    again = samkit(words)
    assert again.code == 0 and again.out == "In out: 2 images done before.\n"
    if copy:
        Path("out/images/a.png").unlink()
        assert "of 1 image (yolo); 1 image done before" in samkit(words).out


@pytest.mark.parametrize("format", ["png", "labelmap", "parquet"])
def test_images_are_copied_only_where_the_format_has_them(format, photos, samkit):
    done = samkit("auto", photos, "-o", "out", "--format", format, "--copy-images")
    assert done.code == 2 and f"--format {format}" in done.err and not Path("out").exists()


@pytest.mark.parametrize("format", ["voc", "coco", "yolo", "panoptic", "sa1b", "png", "labelmap"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_second_run_into_the_photographs_folder_takes_no_output_for_a_photograph(
    format, copy, photos, everything, samkit
):
    if copy and format in ("png", "labelmap"):
        return
    words = ["auto", photos, "-o", photos, "--format", format, everything]
    words += ["--copy-images"] if copy else []
    assert samkit(words).code == 0
    again = samkit(words)
    assert again.code == 0 and again.out == f"In {photos}: 2 images done before.\n"


def test_copies_alone_are_photographs(photos, everything, samkit):
    samkit("auto", photos, "-o", "set", "--format", "voc", "--copy-images", everything)
    done = samkit("auto", "set", "-o", "out", everything)
    assert done.code == 0 and "of 2 images (sa1b)" in done.out
    assert Path("out/JPEGImages/sub/b.json").exists()


def test_a_copy_never_goes_over_another_photograph(photos, everything, samkit, photograph):
    other = photograph(photos / "images/a.png", 5).read_bytes()
    words = ["auto", photos, "-o", photos, "--format", "yolo", "--copy-images", "--force"]
    done = samkit(words, everything)
    assert done.code == 2 and "over the photograph images/a.png" in done.err
    assert (photos / "images/a.png").read_bytes() == other


def test_dots_in_names_do_not_make_a_webdataset_anew(here, photograph, everything, samkit):
    for name in ("a.b", "a_b"):
        photograph(here / f"photos/{name}.png", len(name))
    words = ["auto", "photos", "-o", "out", "--format", "webdataset", everything]
    assert "of 2 images" in samkit(words).out
    assert open_dataset("out").names == ["a.b", "a_b"]
    assert samkit(words).out == "In out: 2 images done before.\n"
