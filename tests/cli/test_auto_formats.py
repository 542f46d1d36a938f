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
