"""Photographs as the page gets them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from samkit.annotate.pictures import encode
from samkit.errors import ImageError


def test_a_png_comes_without_loss_and_without_metadata(server, photographs):
    image = server.images()[0]
    answer = server.http.get(f"/api/images/{image['id']}/picture")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as sent, Image.open(photographs / "0.png") as own:
        assert np.array_equal(np.asarray(sent), np.asarray(own))


def test_a_photograph_comes_upright_and_without_its_place(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a secret place"
    picture = Image.new("RGB", (30, 20), "red")
    picture.save(tmp_path / "phone.jpg", exif=exif, comment=b"secret")
    data, kind = encode(tmp_path / "phone.jpg", (30, 20), "JPEG")
    assert kind == "image/jpeg" and b"secret" not in data
    with Image.open(BytesIO(data)) as sent:
        assert sent.size == (20, 30) and not sent.getexif()


def test_a_small_one_has_the_longer_side_that_was_asked_for(server):
    image = server.images()[0]
    answer = server.http.get(f"/api/images/{image['id']}/picture?max=30")
    with Image.open(BytesIO(answer.content)) as sent:
        assert sent.size == (30, 20)
    assert server.http.get(f"/api/images/{image['id']}/picture?max=0").status_code == 422


def test_a_small_one_of_a_large_photograph_has_the_same_sides(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1001, 501), "red").save(tmp_path / "phone.jpg", exif=exif)
    for longest, size in ((1001, (501, 1001)), (500, (250, 500)), (90, (45, 90))):
        data, _ = encode(tmp_path / "phone.jpg", (1001, 501), "JPEG", longest)
        with Image.open(BytesIO(data)) as sent:
            assert sent.size == size
    with pytest.raises(ImageError, match="another size"):
        encode(tmp_path / "phone.jpg", (999, 501), "JPEG", 90)


def test_a_file_that_is_gone_or_another_is_named(server, photographs, tmp_path):
    image = server.images()[0]
    (photographs / "0.png").unlink()
    answer = server.http.get(f"/api/images/{image['id']}/picture")
    assert answer.status_code == 404 and "0.png" in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    with pytest.raises(ImageError, match="another size"):
        encode(photographs / "1.png", (1, 1), "PNG")
