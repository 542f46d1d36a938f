from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from samkit.datasets.document import check_name
from samkit.datasets.names import output_names


def touch(root, *names):
    paths = []
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        paths.append(path)
    return paths


def test_names_are_paths_below_the_folder_that_was_asked_for(tmp_path):
    images = touch(tmp_path, "p/a.jpg", "p/sub/b.JPG", "single.png")
    assert output_names(images, [tmp_path / "p", tmp_path / "single.png"]) == [
        "a",
        "sub/b",
        "single",
    ]


def test_images_that_would_share_a_name_get_their_suffix_too(tmp_path):
    images = touch(tmp_path, "x.jpg", "x.png", "X.webp", "y.jpg")
    assert output_names(images, [tmp_path]) == ["x_jpg", "x_png", "X_webp", "y"]


def test_an_image_never_takes_the_name_of_a_folder(tmp_path):
    images = touch(tmp_path, "a.jpg", "a/b.jpg")
    assert output_names(images, [tmp_path]) == ["a_jpg", "a/b"]


def test_the_same_name_in_two_folders_is_told_apart_the_same_way_on_each_run(tmp_path):
    images = touch(tmp_path, "1/x.jpg", "2/x.jpg")
    arguments = [tmp_path / "1", tmp_path / "2"]
    names = output_names(images, arguments)
    assert len(set(names)) == 2
    assert names == output_names(images, arguments)
    assert all(name.startswith("x_jpg-") for name in names)


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6)))
def test_every_file_name_gives_a_name_that_writers_take(stems):
    images = [Path("some") / f"p{stem}.jpg" for stem in dict.fromkeys(stems)]
    names = output_names(images, [])
    assert all(check_name(name) == name for name in names)
    assert len({name.lower() for name in names}) == len(names)
