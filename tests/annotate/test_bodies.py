"""What a client may put into a body."""

import pytest

from samkit.masks import rle


@pytest.mark.parametrize(
    "broken",
    [
        {"size": [40, 60], "counts": "0"},
        {"size": [40, 60], "counts": [0, 2400]},
        {"size": [1 << 30, 1 << 30], "counts": "PPPP"},
        {"size": [40, 60], "counts": "~~~"},
        {"size": [40, 60], "counts": ""},
        {"size": [60, 40], "counts": "PS2"},
        {"size": [-40, -60], "counts": "PS2"},
        {"size": [40, 60]},
        "PS2",
        None,
    ],
)
def test_a_mask_that_is_no_rle_of_the_image_is_refused(server, operation, value, broken):
    image = server.images()[0]
    sent = value((40, 60)) | {"rle": broken}
    good = operation("b", 0, value((40, 60)))
    server.send(image, good, operation("a", 0, sent), status=422)
    assert server.get(f"/api/images/{image['id']}")["instances"] == []


@pytest.mark.parametrize(
    "odd",
    [
        {"labels": ["x" * 201]},
        {"labels": ["x"] * 33},
        {"labels": [""]},
        {"labels": ["a\x00b"]},
        {"labels": ["\ud800"]},
        {"labels": [7]},
        {"seconds": -1},
        {"seconds": 1e300},
        {"stage": "magic"},
        {"prompts": [{"text": "x" * 70_000}]},
        {"prompts": ["\x00"]},
        {"colour": "red"},
        {"model": "m" * 201},
    ],
)
def test_fields_out_of_their_limits_are_refused(server, operation, value, odd):
    image = server.images()[0]
    server.send(image, operation("a", 0, value((40, 60)) | odd), status=422)
    assert server.get(f"/api/images/{image['id']}")["instances"] == []


def test_a_whole_instance_may_be_sent_back(server, operation, value):
    image = server.images()[0]
    server.send(image, operation("a", 0, value((40, 60))))
    (instance,) = server.get(f"/api/images/{image['id']}")["instances"]
    server.send(image, operation("a", 1, instance | {"editor": "somebody else"}))
    (after,) = server.get(f"/api/images/{image['id']}")["instances"]
    assert after == instance | {"version": 2}


def test_masks_that_are_empty_and_full_are_masks(server, operation, value):
    image = server.images()[0]
    for name, mask in (("empty", 0), ("full", 1)):
        counts = [2400] if mask == 0 else [0, 2400]
        sent = rle.from_uncompressed({"size": [40, 60], "counts": counts})
        server.send(image, operation(name, 0, value((40, 60)) | {"rle": sent}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"client": "a", "operations": []}',
        b'{"client": "../a", "operations": [1]}',
        b'{"client": "a", "operations": [{"op": "1", "kind": "put", "instance": "i", "base": -1}]}',
        b'{"client": "a", "operations": NaN}',
        b'{"client": "a", "operations": [{"op": "1", "kind": "put", "instance": "i", "base": 0}]}',
        b'\xff\xfe{"client": 1}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused_in_a_sentence(server, body):
    image = server.images()[0]
    answer = server.http.post(
        f"/api/images/{image['id']}/operations",
        content=body,
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"].endswith(".")


def test_a_body_that_is_too_large_is_refused(server):
    image = server.images()[0]
    path = f"/api/images/{image['id']}/operations"
    kind = {"content-type": "application/json"}
    large = b'{"client": "' + b"a" * (17 << 20) + b'"}'
    assert server.http.post(path, content=large, headers=kind).status_code == 413
    parts = (large[i : i + 65536] for i in range(0, len(large), 65536))  # without a length
    assert server.http.post(path, content=parts, headers=kind).status_code == 413
