import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.inference.transforms import ResizeLongestSide
from samkit.inference.upscaling import Upscaler, Window


def two_steps(low, img_size, input_size, original_size):
    """The official way: to the input, off with the padding, to the image."""
    x = torch.nn.functional.interpolate(
        low[None], (img_size, img_size), mode="bilinear", align_corners=False
    )
    x = x[..., : input_size[0], : input_size[1]]
    return torch.nn.functional.interpolate(x, original_size, mode="bilinear", align_corners=False)[
        0
    ]


def make(size, seed, img_size=128, low_size=32, smooth=True):
    input_size = ResizeLongestSide.get_preprocess_shape(*size, img_size)
    upscaler = Upscaler(low_size, img_size, input_size, size)
    generator = torch.Generator().manual_seed(seed)
    low = 10 * torch.randn(3, low_size, low_size, generator=generator)
    if smooth:
        low = torch.nn.functional.avg_pool2d(low[None], 9, 1, 4)[0] * 5 - 4
    return upscaler, low, input_size


sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))


@settings(max_examples=60)
@given(sizes, st.integers(0, 1000), st.booleans())
def test_logits_equal_those_of_both_bilinear_steps(size, seed, smooth):
    upscaler, low, input_size = make(size, seed, smooth=smooth)
    out = torch.empty(3, *size)
    upscaler.logits(low, out)
    torch.testing.assert_close(out, two_steps(low, 128, input_size, size), rtol=0, atol=3e-5)


@settings(max_examples=60)
@given(sizes, st.integers(0, 1000), st.booleans(), st.sampled_from([-1.0, 0.0, 2.5]))
def test_masks_miss_nothing_outside_of_their_window(size, seed, smooth, threshold):
    upscaler, low, input_size = make(size, seed, smooth=smooth)
    masks = torch.empty(3, *size, dtype=torch.bool)
    upscaler.masks(low, threshold, masks)
    logits = two_steps(low, 128, input_size, size)
    differing = masks != (logits > threshold)
    assert ((logits - threshold)[differing].abs() < 3e-5).all()


@settings(max_examples=60)
@given(sizes, st.integers(0, 1000))
def test_a_sample_is_every_nth_pixel_and_two_to_a_cell(size, seed):
    upscaler, low, input_size = make(size, seed)
    rows, cols = upscaler.valid_size
    sample = upscaler.sample(low[0, :rows, :cols], Window(0, rows, 0, cols))
    steps = [max(1, side // (2 * cells)) for side, cells in zip(size, (rows, cols), strict=True)]
    expected = two_steps(low[:1], 128, input_size, size)[0]
    expected = expected[steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]]
    torch.testing.assert_close(sample, expected, rtol=0, atol=3e-5)
    for count, side, cells in zip(sample.shape, size, (rows, cols), strict=True):
        assert count == side or count >= 2 * cells


def test_a_large_photograph_at_the_published_size():
    size = (1200, 1800)
    upscaler, low, input_size = make(size, 5, img_size=1024, low_size=256)
    out = torch.empty(3, *size)
    upscaler.logits(low, out)
    torch.testing.assert_close(out, two_steps(low, 1024, input_size, size), rtol=0, atol=3e-5)
    assert upscaler.valid_size == (172, 256)


def test_windows_are_small_for_small_masks():
    upscaler, low, _ = make((300, 400), 0)
    low = torch.full((1, 32, 32), -9.0)
    low[0, 10, 12] = 9.0
    (cells,) = upscaler.windows(low, 0.0)
    assert cells.bottom - cells.top <= 5 and cells.right - cells.left <= 5
    pixels = upscaler.pixels(cells)
    assert (pixels.bottom - pixels.top) * (pixels.right - pixels.left) < 300 * 400 / 40


def test_what_is_true_only_in_the_padding_is_no_mask():
    upscaler, low, _ = make((100, 400), 0)
    low = torch.full((1, 32, 32), -9.0)
    low[0, 20:] = 9.0
    assert upscaler.windows(low, 0.0)[0].empty
    assert upscaler.shares(low > 0).item() == 0


def test_shares_estimate_the_true_part_of_the_image():
    upscaler, low, input_size = make((333, 517), 3)
    logits = two_steps(low, 128, input_size, (333, 517))
    exact = (logits > 0).float().mean((1, 2))
    np.testing.assert_allclose(upscaler.shares(low > 0), exact, atol=0.03)
    assert upscaler.shares(torch.ones(32, 32, dtype=torch.bool)).item() == pytest.approx(1)
