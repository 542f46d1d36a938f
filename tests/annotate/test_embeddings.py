"""Embeddings as bytes, and the cache."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samkit.annotate.embeddings import Cache, Key, pack, unpack
from samkit.errors import FormatError

TENSORS = {
    "image_embeddings": np.linspace(-3, 3, 4 * 3 * 5, dtype=np.float32).reshape(1, 4, 3, 5),
    "stride_4": np.full((1, 1, 3, 3), 1e9, np.float32),
}


def make(crop=(0, 0, 9, 7), model="m"):
    return pack(model, crop, (64, 48), (7, 9), TENSORS)


def key(number, crop=(0, 0, 9, 7)):
    return Key(f"{number:064x}", "m", 64, crop)


def put(cache, which):
    path = cache.path(which)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make(which.crop))
    cache.add(which)


def test_what_was_packed_comes_out_in_half_precision():
    data = make()
    header, tensors = unpack(data)
    assert (header["model"], header["crop"]) == ("m", [0, 0, 9, 7])
    assert (header["input_size"], header["original_size"]) == ([64, 48], [7, 9])
    expected = TENSORS["image_embeddings"].astype(np.float16)
    assert np.array_equal(tensors["image_embeddings"], expected)
    assert np.all(tensors["stride_4"] == np.finfo(np.float16).max)  # never infinite


def test_the_layout_is_that_of_the_contract():
    data = make()
    length = int.from_bytes(data[:4], "little")
    header, _ = unpack(data)
    start = -(-(4 + length) // 16) * 16
    assert set(data[4 + length : start]) <= {0}
    first = header["tensors"][0]
    assert [part["offset"] % 16 for part in header["tensors"]] == [0, 0]
    own = np.frombuffer(data, "<f2", 60, start + first["offset"]).reshape(first["shape"])
    assert np.array_equal(own, TENSORS["image_embeddings"].astype(np.float16))


@given(st.data())
def test_no_damaged_byte_goes_unseen(data):
    packed = bytearray(make())
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        header, tensors = unpack(bytes(packed))
    except FormatError:
        return
    good_header, good = unpack(make())  # in the header only what describes the image can change
    assert header["sha256"] == good_header["sha256"]
    for name, tensor in zip(good, tensors.values(), strict=True):
        assert tensor.size == good[name].size


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"[1, 1, 3, 3]", b"[1, 1, 5, 3]"),  # 30 bytes, and 32 are there
        (b'"offset": 0', b'"offset": 2'),
        (b'"bytes": 18', b'"bytes": 16'),
    ],
)
def test_a_place_of_a_tensor_that_is_not_as_written_is_refused(good, bad):
    packed = make().replace(good, bad)
    assert packed != make()
    with pytest.raises(FormatError, match="damaged"):
        unpack(packed)


def test_a_hit_a_miss_and_a_restart(tmp_path):
    cache = Cache(tmp_path, 1 << 20)
    assert key(1) not in cache and cache.get(key(1)) is None
    put(cache, key(1))
    assert key(1) in cache and cache.get(key(1)) == make()
    assert key(1, (0, 0, 4, 4)) not in cache
    again = Cache(tmp_path, 1 << 20)
    assert again.get(key(1)) == make() and again.total == len(make())


def test_the_least_recently_used_one_makes_room(tmp_path):
    size = len(make())
    cache = Cache(tmp_path, 3 * size)
    for number in (1, 2, 3):
        put(cache, key(number))
        os.utime(cache.path(key(number)), (number, number))
    cache.get(key(1))
    put(cache, key(4))
    assert [key(n) in cache for n in (1, 2, 3, 4)] == [True, False, True, True]
    assert not cache.path(key(2)).exists() and cache.total == 3 * size
    smaller = Cache(tmp_path, size)  # the order is that of the files' times after a restart
    put(smaller, key(5))
    assert [key(n) in smaller for n in (1, 3, 4, 5)] == [False, False, False, True]


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 100, make()[:-1], make(model="other")])
def test_a_damaged_file_is_a_miss_and_goes(tmp_path, damage):
    cache = Cache(tmp_path, 1 << 20)
    put(cache, key(1))
    cache.path(key(1)).write_bytes(damage)
    assert cache.get(key(1)) is None
    assert key(1) not in cache and not cache.path(key(1)).exists() and cache.total == 0


def test_another_crop_of_the_image_is_never_taken_for_it(tmp_path):
    cache = Cache(tmp_path, 1 << 20)
    put(cache, key(1))
    cache.path(key(1)).write_bytes(make((1, 1, 9, 7)))
    assert cache.get(key(1)) is None
