import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from samkit.errors import FormatError, UsageError
from samkit.masks import rle, rle_text
from samkit.masks.runs import window_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools

sides = array_shapes(min_dims=2, max_dims=2, max_side=20)
bools = arrays(bool, sides)


@st.composite
def pieces(draw):
    """A crop, where it lies, and the size of the image around it."""
    crop = draw(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)))
    before = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    after = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    size = tuple(b + s + a for b, s, a in zip(before, crop.shape, after, strict=True))
    return crop, before, size


def by_coco(mask: np.ndarray) -> dict:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def test_official_expectations(helpers, seeded_mask):
    for case in helpers["rle"]:
        mask = rle.decode(case)
        compressed = {"size": case["size"], "counts": case["coco"]}
        assert rle.encode(mask[None]) == [compressed], case["desc"]
        assert (rle.decode(compressed) == mask).all()
        assert rle.to_uncompressed(compressed) == {"size": case["size"], "counts": case["counts"]}
        assert rle.from_uncompressed(case) == compressed
        assert rle.area(compressed) == rle.area(case) == case["area"] == mask.sum()
        if isinstance(case["desc"], dict):
            assert (mask == seeded_mask(**case["desc"])).all()


@given(st.integers(0, 6).flatmap(lambda n: sides.flatmap(lambda s: arrays(bool, (n, *s)))))
def test_encoding_equals_pycocotools(masks):
    expect = [by_coco(mask) for mask in masks]
    assert rle.encode(masks) == expect
    assert rle.encode(torch.from_numpy(masks)) == expect
    assert rle.encode(masks.astype(np.uint8) * 7) == expect


@given(bools)
def test_decoding_undoes_encoding(mask):
    (found,) = rle.encode(mask[None])
    for form in found, {**found, "counts": found["counts"].encode()}, rle.to_uncompressed(found):
        back = rle.decode(form)
        assert back.dtype == bool and back.flags.c_contiguous
        assert (back == mask).all()
        assert rle.area(form) == mask.sum()
        assert rle.measure(form) == (mask.sum(), window_of(mask))


@settings(max_examples=300)
@given(st.lists(pieces(), min_size=1, max_size=3))
def test_a_crop_encodes_as_the_full_mask_would(several):
    for crop, (top, left), size in several:
        if 0 in size:
            continue
        full = np.zeros(size, bool)
        full[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        assert rle.encode_crops([crop], [(top, left)], size) == [by_coco(full)]


def test_crops_of_different_shapes_go_in_one_call_in_their_order():
    crops = [np.ones((2, 3), bool), np.zeros((0, 0), bool), np.eye(5, dtype=bool)]
    found = rle.encode_crops(crops, [(0, 0), (4, 4), (5, 7)], (10, 12))
    assert [rle.area(one) for one in found] == [6, 0, 5]
    assert rle.decode(found[2])[9, 11]
    assert rle.encode_crops([], [], (10, 12)) == []


def test_more_runs_than_the_encoder_takes_at_once(monkeypatch):
    masks = np.random.default_rng(0).random((9, 30, 40)) < 0.5
    monkeypatch.setattr(rle, "_RUNS_AT_ONCE", 1000)
    assert rle.encode(masks) == [by_coco(mask) for mask in masks]


def test_a_large_mask_with_long_runs():
    mask = np.zeros((5000, 7000), bool)
    mask[10:4990, 3:6990] = True
    (found,) = rle.encode(mask[None])
    assert found == by_coco(mask)
    assert (rle.decode(found) == mask).all()


@given(st.lists(st.lists(st.integers(0, 2**31), min_size=1), min_size=1, max_size=4))
def test_strings_hold_any_run_lengths(lists):
    texts = rle_text.write([np.array(counts) for counts in lists])
    assert [rle_text.read(text, 1000).tolist() for text in texts] == lists


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12))
def test_empty_runs_inside_are_decoded_as_pycocotools_does(counts):
    height, width = 1, sum(counts)
    if width == 0:
        return
    expect = coco.decode(coco.frPyObjects({"size": [height, width], "counts": counts}, 1, width))
    found = {"size": [height, width], "counts": counts}
    assert (rle.decode(found) == expect).all()
    assert rle.measure(found) == (expect.sum(), window_of(expect > 0))


def test_wrong_arguments_are_usage_errors():
    with pytest.raises(UsageError, match="threshold"):
        rle.encode(np.zeros((1, 2, 2), np.float32))
    with pytest.raises(UsageError, match="shape"):
        rle.encode(np.zeros((2, 2), bool))
    with pytest.raises(UsageError, match="reaches out"):
        rle.encode_crops([np.ones((3, 3), bool)], [(0, 1)], (3, 3))
    with pytest.raises(UsageError, match="bool"):
        rle.encode_crops([np.ones((3, 3))], [(0, 0)], (3, 3))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"size": [2, 2]},
        {"counts": "4"},
        {"size": [2], "counts": [4]},
        {"size": "22", "counts": [4]},
        {"size": [2.0, 2], "counts": [4]},
        {"size": [True, 2], "counts": [2]},
        {"size": [0, 2], "counts": [0]},
        {"size": [-2, -2], "counts": [4]},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [10**5000, 2], "counts": [4]},
        {"size": [2, 2], "counts": None},
        {"size": [2, 2], "counts": {}},
        {"size": [2, 2], "counts": []},
        {"size": [2, 2], "counts": [3]},
        {"size": [2, 2], "counts": [5]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": [2.0, 2.0]},
        {"size": [2, 2], "counts": ["4"]},
        {"size": [2, 2], "counts": [[4]]},
        {"size": [2, 2], "counts": [10**30, 4]},
        {"size": [2, 2], "counts": [2**63, 2**63, 4]},
        {"size": [2, 2], "counts": ""},
        {"size": [2, 2], "counts": "3"},
        {"size": [2, 2], "counts": "4 "},
        {"size": [2, 2], "counts": "4\n"},
        {"size": [2, 2], "counts": "\u0664"},
        {"size": [2, 2], "counts": "\ud800"},
        {"size": [2, 2], "counts": b"\xff"},
        {"size": [2, 2], "counts": "T"},
        {"size": [2, 2], "counts": "4T"},
        {"size": [2, 2], "counts": "oooooooooooo0"},
        {"size": [2, 2], "counts": "5O"},
        {"size": [2, 2], "counts": "1O4"},
        {"size": [4, 4], "counts": " 0"},
        {"size": [2, 2], "counts": "t0"},
        {"size": [2, 2], "counts": "4" + "0" * 100},
    ],
)
def test_hostile_rles_are_format_errors(bad):
    for function in rle.decode, rle.area, rle.to_uncompressed, rle.from_uncompressed:
        with pytest.raises(FormatError):
            function(bad)


@settings(max_examples=500)
@given(
    st.tuples(st.integers(-1, 40), st.integers(-1, 40)),
    st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12),
)
def test_any_string_decodes_or_is_a_format_error(size, text):
    try:
        mask = rle.decode({"size": list(size), "counts": text})
    except FormatError:
        return
    assert mask.shape == size
    expect = coco.decode({"size": list(size), "counts": text.encode()})
    assert (mask == expect).all()


def test_nothing_large_is_allocated_for_a_lie():
    tracemalloc.start()
    with pytest.raises(FormatError):
        rle.decode({"size": [16000, 16000], "counts": "04"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_limit_on_pixels_is_the_callers():
    (found,) = rle.encode(np.ones((1, 10, 10), bool))
    with pytest.raises(FormatError, match="at most 99 pixels"):
        rle.decode(found, max_pixels=99)
    assert rle.decode(found, max_pixels=100).all()


def test_fifty_small_masks_of_a_large_photograph_are_quick():
    masks = np.zeros((50, 1200, 1800), bool)
    masks[:, 500:600, 700:850] = True
    start = time.process_time()
    rle.encode(masks)
    assert time.process_time() - start < 1  # about 0.02 s; pycocotools needs 0.2
