"""`samkit segment`: prompts in, one PNG for each mask out."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samkit as package
from samkit.cli.prompts import parse
from samkit.datasets.png import write_mask


@pytest.fixture
def photo(photograph) -> Path:
    return photograph(Path("photo.png"), 2, (48, 64))


@pytest.fixture
def segment(samkit, photo, tiny):
    def run(*words: object, out: str = "out.png"):
        return samkit("segment", photo, "--model", tiny, "-o", out, list(words))

    return run


def written() -> list[str]:
    return sorted(path.name for path in Path(".").iterdir() if path.name != "photo.png")


def read(name: str) -> np.ndarray:
    mask = np.asarray(Image.open(name))
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    return mask > 0


@pytest.fixture
def predicted(photo, tiny):
    """What the predictor says itself."""
    predictor = package.SamPredictor(package.load(tiny))
    predictor.set_image(np.asarray(Image.open(photo)))
    return predictor.predict


def test_one_point_gives_three_masks_the_best_first(segment, predicted) -> None:
    done = segment("--point", "10,20")
    assert done.code == 0
    assert written() == ["out_0.png", "out_1.png", "out_2.png"]
    masks, scores, _ = predicted(np.array([[10, 20]]), np.array([1]), multimask_output=True)
    order = np.argsort(-scores)
    for rank, index in enumerate(order):
        np.testing.assert_array_equal(read(f"out_{rank}.png"), masks[index])
    said = [line.split("predicted IoU ")[1].split(",")[0] for line in done.out.splitlines()]
    assert said == [f"{scores[index]:.3f}" for index in order]


def test_several_prompts_give_one_mask(segment, predicted) -> None:
    done = segment("--point", "10,20", "--point", "40.5,30,0", "--box", "5,5,50,40")
    assert done.code == 0
    assert written() == ["out.png"]
    points, box = np.array([[10, 20], [40.5, 30]]), np.array([5, 5, 50, 40])
    masks, _, _ = predicted(points, np.array([1, 0]), box, multimask_output=False)
    np.testing.assert_array_equal(read("out.png"), masks[0])
    assert read("out.png").shape == (48, 64)


def test_single_and_multimask_decide_otherwise(segment) -> None:
    segment("--point", "10,20", "--single")
    assert written() == ["out.png"]
    segment("--point", "10,20", "--point", "12,20", "--multimask", out="more.png")
    assert written() == ["more_0.png", "more_1.png", "more_2.png", "out.png"]
    both = segment("--point", "10,20", "--single", "--multimask")
    assert both.code == 2


def test_each_of_several_boxes_is_an_object_and_points_go_with_those_they_lie_in(
    segment, predicted
) -> None:
    boxes = [[2, 2, 30, 40], [20, 5, 60, 44]]
    Path("boxes.json").write_text(json.dumps(boxes))
    done = segment("--boxes", "boxes.json", "--point", "25,20", "--point", "50,30,0", "--single")
    assert done.code == 0
    assert written() == ["boxes.json", "out_0.png", "out_1.png"]
    first, _, _ = predicted(np.array([[25, 20]]), np.array([1]), boxes[0], multimask_output=False)
    both = np.array([[25, 20], [50, 30]])
    second, _, _ = predicted(both, np.array([1, 0]), boxes[1], multimask_output=False)
    np.testing.assert_array_equal(read("out_0.png"), first[0])
    np.testing.assert_array_equal(read("out_1.png"), second[0])


def test_boxes_alone_have_three_masks_each(segment) -> None:
    done = segment("--box", "2,2,30,40", "--box", "20,5,60,44")
    assert done.code == 0
    assert written() == [f"out_{box}_{rank}.png" for box in (0, 1) for rank in (0, 1, 2)]


def test_mask_of_ones_own_is_a_prompt(segment, predicted) -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:30, 10:40] = True
    write_mask("rough.png", mask)
    done = segment("--mask", "rough.png", "--single")
    assert done.code == 0
    masks, _, _ = predicted(mask_input=mask, multimask_output=False)
    np.testing.assert_array_equal(read("out.png"), masks[0])


def test_small_specks_and_holes_go(segment, predicted) -> None:
    segment("--point", "10,20", "--single", "--remove-small", "40")
    expected, _, _ = predicted(
        np.array([[10, 20]]), np.array([1]), multimask_output=False, remove_small_regions=40
    )
    np.testing.assert_array_equal(read("out.png"), expected[0])


def test_overlay_shows_masks_and_prompts(segment, photo) -> None:
    done = segment("--point", "10,20", "--single", "--overlay")
    assert done.code == 0
    assert written() == ["out.png", "out_overlay.jpg"]
    with Image.open("out_overlay.jpg") as overlay:
        assert overlay.size == (64, 48)
        red, green, blue = overlay.getpixel((7, 22))  # in the green disc, beside its plus
    assert green > 150 > max(red, blue)


def test_exif_rotated_photograph_has_upright_masks(samkit, tiny, photograph) -> None:
    path = photograph(Path("upright.png"), 1, (48, 64))
    with Image.open(path) as picture:
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save("rotated.jpg", exif=exif)
    words = ["segment", "rotated.jpg", "--model", tiny, "-o", "out.png", "--single"]
    assert samkit(words, "--point", "40,60").code == 0
    assert read("out.png").shape == (64, 48)
    assert samkit(words, "--point", "60,40").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "at least one prompt"),
        (["--point", "64,20"], "The point 64,20 lies outside the image of 64 x 48 pixels."),
        (["--point", "10,-1"], "lies outside"),
        (["--point", "-3,4"], "lies outside"),
        (["--point", "10"], "x,y"),
        (["--point", "10,20,2"], "1 (foreground) or 0 (background)"),
        (["--point", "10,twenty"], "'10,twenty'"),
        (["--point", "nan,1"], "'nan,1'"),
        (["--box", "1,2,3"], "x0,y0,x1,y1"),
        (["--box", "30,2,10,40"], "x0 < x1"),
        (["--box", "70,2,90,40"], "lies outside"),
        (["--boxes", "none.json"], "none.json"),
        (["--boxes", "photo.png"], "not valid JSON"),
        (["--boxes", "boxes.json"], "list of boxes"),
        (["--boxes", "odd.json"], "Box 1 of odd.json"),
        (["--mask", "none.png"], "none.png"),
        (["--mask", "small.png"], "is 5 x 4 pixels, but the image 64 x 48"),
        (["--mask", "black.png"], "is empty"),
        (["--box", "1,1,9,9", "--box", "20,20,30,30", "--point", "15,15"], "none of the boxes"),
        (["--box", "1,1,9,9", "--box", "2,2,30,30", "--mask", "white.png"], "at most one box"),
        (["--point", "1,1", "--remove-small", "-1"], "--remove-small"),
    ],
)
def test_prompts_that_are_none_get_one_sentence(segment, words, said) -> None:
    Path("boxes.json").write_text('{"boxes": []}')
    Path("odd.json").write_text("[[1, 2, 3, 4], [1, 2, true, 4]]")
    write_mask("small.png", np.ones((4, 5), bool))
    write_mask("black.png", np.zeros((48, 64), bool))
    write_mask("white.png", np.ones((48, 64), bool))
    before = written()
    done = segment(words)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert written() == before


def test_boxes_that_stick_out_are_cut_to_the_image() -> None:
    given = parse([], ["-5,-5,100,30", "1,2,3,400"], None, None, (48, 64))
    assert given.boxes.tolist() == [[0, 0, 64, 30], [1, 2, 3, 48]]


def test_photograph_is_never_written_over(segment, photo) -> None:
    before = photo.read_bytes()
    done = segment("--point", "10,20", "--single", out="photo.png")
    assert done.code == 2
    assert "the photograph itself" in done.err
    assert photo.read_bytes() == before


def test_masks_are_png_only(segment) -> None:
    done = segment("--point", "10,20", out="out.jpg")
    assert done.code == 2
    assert ".png" in done.err


def test_photograph_that_is_none_is_unusable_input(samkit, tiny) -> None:
    Path("text.jpg").write_text("hello")
    done = samkit("segment", "text.jpg", "--point", "1,1", "-o", "out.png", "--model", tiny)
    assert done.code == 2
    assert "text.jpg" in done.err
