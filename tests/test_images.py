import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from samkit import images, pixels
from samkit.errors import ImageError, UsageError

ROW = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.stack([ROW, 255 - ROW, ROW // 2], axis=-1)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gray(values) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_colour_comes_back_exactly(kind):
    image = images.read(encoded(COLOUR, kind))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    assert (image == COLOUR).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000", "AVIF", "GIF"])
def test_the_other_formats_come_back_at_their_size(kind):
    photo = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    image = images.read(encoded(photo, kind))
    assert image.shape == (40, 60, 3)
    assert np.abs(image.astype(int) - photo).max() < 30


def test_paths_bytes_and_open_files_read_the_same(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(COLOUR))
    with path.open("rb") as file:
        file.read(5)
        assert (images.read(file) == COLOUR).all()
        assert not file.closed
    assert (images.read(path) == COLOUR).all()
    assert (images.read(str(path)) == COLOUR).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(kind, orientation):
    stored = np.repeat(np.repeat(COLOUR, 8, 0), 8, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(stored, kind, exif=exif, **options)
    expect = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert images.read(data).tolist() == expect.tolist()


SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "AVIF": ".avif"}


@pytest.mark.parametrize("kind", SUFFIX)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_head_says_the_size_of_what_is_read_and_the_usual_suffix(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(np.zeros((40, 60, 3), np.uint8), kind, exif=exif)
    assert images.head(data) == (images.read(data).shape[:2], SUFFIX[kind])


def test_the_head_is_enough_where_the_rest_is_missing():
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    data = encoded(noise, "JPEG")[:-300]
    assert images.head(data).size == (40, 60)
    with pytest.raises(ImageError, match="limit of 100"):
        images.head(data, max_pixels=100)
    with pytest.raises(ImageError, match="not a picture"):
        images.head(b"nonsense")


def test_a_picture_stored_on_its_side_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me clockwise"
    data = encoded(np.rot90(COLOUR, 1), exif=exif)
    assert (images.read(data) == COLOUR).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_counts_as_none():
    data = encoded(COLOUR, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert (images.read(data) == COLOUR).all()


def test_gray_becomes_three_equal_channels():
    assert (images.read(encoded(ROW)) == gray(ROW)).all()


def test_black_and_white_becomes_0_and_255():
    bits = ROW > 100
    assert (images.read(encoded(Image.fromarray(bits))) == gray(bits * 255)).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_257(kind):
    deep = np.array([[0, 128, 129, 257, 4095], [32767, 32768, 65278, 65406, 65535]], np.uint16)
    expect = np.rint(deep / 257)
    assert (images.read(encoded(deep, kind)) == gray(expect)).all()
    assert (pixels.from_array(deep) == gray(expect)).all()
    assert (pixels.from_array(deep.astype(">u2")) == gray(expect)).all()


def test_32_bit_integers_beyond_16_bits_are_stretched():
    deep = np.array([[-100_000, 0, 100_000]], np.int32)
    assert (images.read(encoded(deep, "TIFF")) == gray([[0, 128, 255]])).all()


def test_floats_within_one_are_scaled_and_others_stretched():
    unit = np.array([[0, 0.25, 0.5, 1]], np.float32)
    wide = np.array([[np.nan, -5, 5, 15, np.inf, -np.inf]], np.float32)
    assert (images.read(encoded(unit, "TIFF")) == gray([[0, 64, 128, 255]])).all()
    assert (pixels.from_array(unit) == gray([[0, 64, 128, 255]])).all()
    assert (images.read(encoded(wide, "TIFF")) == gray([[0, 0, 128, 255, 255, 0]])).all()


@pytest.mark.parametrize("values", [[np.nan], [7.0, 7.0], [-3.4e38, 3.4e38], [np.inf]])
def test_odd_floats_do_not_break_the_rule(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = pixels.from_array(np.array([values], np.float32))
    assert image.shape == (1, len(values), 3)


def test_transparency_is_laid_on_white():
    clear = np.dstack([COLOUR, np.zeros_like(ROW)])
    half = np.dstack([np.zeros_like(COLOUR), np.full_like(ROW, 128)])
    assert (images.read(encoded(clear)) == 255).all()
    assert (images.read(encoded(half)) == 127).all()
    assert (pixels.from_array(half) == 127).all()
    assert (pixels.from_array(half.astype(np.uint16) * 257) == 127).all()
    assert (images.read(encoded(Image.new("LA", (3, 2), (0, 0)))) == 255).all()


def test_transparent_palette_entries_and_single_colours_become_white():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    expect = [[[255, 255, 255], [40, 50, 60]]]
    assert images.read(encoded(palette, transparency=0)).tolist() == expect
    assert images.read(encoded(palette, "GIF", transparency=0)).tolist() == expect
    one = images.read(encoded(COLOUR, transparency=tuple(COLOUR[0, 0].tolist())))
    assert (one[0, 0] == 255).all() and (one[0, 1:] == COLOUR[0, 1:]).all()
    deep = np.array([[1000, 2570]], np.uint16)
    assert images.read(encoded(deep, transparency=1000))[0, :, 0].tolist() == [255, 10]
    assert images.read(encoded(ROW, transparency=0))[0, :2, 0].tolist() == [255, 10]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "RGBX", "RGBa", "PA"])
def test_other_colour_spaces_are_converted(mode):
    photo = Image.new("RGB", (8, 8), (200, 100, 50))
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.applyTransform(photo, ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
    elif mode == "RGBa":
        image = photo.convert("RGBA").convert("RGBa")
    elif mode == "PA":
        image = photo.convert("P").convert("PA")
    else:
        image = photo.convert(mode)
    got = pixels.rgb(image, "x").astype(int)
    assert np.abs(got - (200, 100, 50)).max() <= (51 if mode == "PA" else 3)


def test_cmyk_jpeg_and_tiff_are_read():
    image = Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
    for kind in "JPEG", "TIFF":
        assert np.abs(images.read(encoded(image, kind)).astype(int) - (200, 100, 50)).max() < 5


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_frame_counts(kind):
    first, second = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (8, 8), "black")
    data = encoded(first, kind, save_all=True, append_images=[second])
    assert (images.read(data) == 255).all()


def test_too_many_pixels_are_refused_before_decoding_and_pillows_limit_is_left_alone():
    data = encoded(Image.new("1", (400, 300)))
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"400x300 pixels, more than the limit of 100000"):
        images.read(data, max_pixels=100_000)
    assert images.read(data, max_pixels=120_000).shape == (300, 400, 3)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_picture_larger_than_pillows_own_limit_needs_no_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for kind in "PNG", "TIFF", "WEBP":
        data = encoded(Image.new("L", (100, 100)), kind)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert images.read(data).shape == (100, 100, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize(
    ("enough", "height", "width"),
    [(None, 301, 450), (226, 301, 450), (225, 151, 225), (100, 76, 113), (1, 38, 57)],
)
def test_a_jpeg_is_decoded_smaller_where_that_is_enough(enough, height, width):
    gradient = np.linspace(0, 255, 450, dtype=np.uint8)
    pixels = np.broadcast_to(gradient[None, :, None], (301, 450, 3))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=95)
    found = images.read(file.getvalue(), enough=enough)
    assert found.shape == (height, width, 3)
    expected = np.interp(np.linspace(0, 449, width), np.arange(450), gradient)
    assert np.abs(found.mean(axis=(0, 2)) - expected).max() < 6
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="PNG")
    assert images.read(png.getvalue(), enough=1).shape == (301, 450, 3)


def test_many_threads_restore_pillows_limit():
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(COLOUR)
    threads = [
        threading.Thread(target=lambda: [images.read(data) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "AVIF", "JPEG2000"])
def test_a_file_cut_short_is_refused_by_name(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / "cut.pic"
    data = encoded(noise, kind)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.pic"):
        images.read(path)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"%PDF-1.4", b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_other_files_are_refused(data):
    with pytest.raises(ImageError, match="not a picture that samkit reads"):
        images.read(data)


def test_missing_files_folders_and_bad_names_are_image_errors(tmp_path):
    for path in tmp_path / "none.png", tmp_path, "a\0b.png":
        with pytest.raises(ImageError):
            images.read(path)


SAMPLES = [
    encoded(COLOUR, kind)
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF")
]
SAMPLES.append(encoded(COLOUR, "TIFF", compression="tiff_lzw"))


@settings(max_examples=400)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.3, 1),
)
def test_hostile_files_raise_nothing_but_image_errors(data, changes, keep):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (len(damaged) - 1))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = images.read(bytes(damaged[: int(len(damaged) * keep)]), max_pixels=10**6)
        except ImageError as error:
            assert str(error).startswith(("Cannot read The picture", "The picture"))
            assert "\n" not in str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1)])
def test_gray_arrays_get_three_channels(shape):
    assert pixels.from_array(np.ones(shape, np.uint8)).tolist() == [[[1] * 3] * 4] * 3
    assert pixels.from_array(np.ones(shape, bool)).tolist() == [[[255] * 3] * 4] * 3


def test_rgb_arrays_pass_unchanged():
    assert (pixels.from_array(COLOUR) == COLOUR).all()
    assert np.shares_memory(pixels.from_array(COLOUR), COLOUR)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4, 2), np.uint8),
        np.zeros((1, 3, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((3, 4), np.int64),
        np.zeros((3, 4), complex),
        np.array([["a"]]),
        np.full((3, 4, 4), 7.0),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array):
    with pytest.raises(ImageError, match=r"image array"):
        pixels.from_array(array)


def test_any_nonzero_value_of_a_mask_picture_is_true():
    values = np.array([[0, 1, 255]], np.uint8)
    expect = [[False, True, True]]
    palette = Image.fromarray(values, "L").convert("P")
    palette.putpalette([255, 255, 255] + [0] * 765)  # the index counts, not the colour
    colour = np.zeros((1, 3, 3), np.uint8)
    colour[0, 1, 2] = colour[0, 2] = 9
    faint = np.dstack([np.full((1, 3, 3), 9, np.uint8), values])
    black = np.dstack([np.zeros((1, 3, 3), np.uint8), values])
    for picture in values, values.astype(np.uint16), values > 0, palette, colour, faint:
        mask = images.as_mask(encoded(picture))
        assert mask.dtype == bool and mask.tolist() == expect
    assert not images.as_mask(encoded(black)).any()


def test_a_mask_is_turned_as_its_photograph_is():
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = np.zeros((4, 6), np.uint8)
    mask[0, 0] = 255
    expect = np.rot90(mask, -1) > 0
    assert (images.as_mask(encoded(mask, exif=exif)) == expect).all()


def test_a_jpeg_is_no_mask():
    with pytest.raises(ImageError, match="JPEG"):
        images.as_mask(encoded(ROW, "JPEG"))
    with pytest.raises(ImageError, match="CMYK"):
        images.as_mask(encoded(Image.new("CMYK", (3, 3)), "TIFF"))


def test_walk_finds_pictures_sorted_and_once(tmp_path):
    for name in ["b.JPG", "a/c.png", "a/notes.txt", ".hidden/d.png", "a/._c.png", "z.webp"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    odd = tmp_path / "a" / "notes.txt"
    found = images.walk([tmp_path, tmp_path / "b.JPG", odd])
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["a/c.png", "a/notes.txt", "b.JPG", "z.webp"]
    assert images.walk([]) == []
    with pytest.raises(UsageError, match="nowhere"):
        images.walk([Path("nowhere")])
