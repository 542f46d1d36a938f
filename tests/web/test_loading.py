"""From the opening of an image to the first answer."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph and a large one."""
    folder = tmp_path_factory.mktemp("photos")
    photo = Image.fromarray(skimage.data.coffee())
    photo.save(folder / "0-coffee.png")
    photo.resize((3000, 2000)).save(folder / "1-large.jpg")
    return folder


@pytest.fixture
def slow(person: Any) -> Iterator[Any]:
    """Embeddings come only after `release` was called."""
    held: list[Any] | None = []

    def arrived(route: Any) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    def release() -> None:
        nonlocal held
        waiting, held = held or [], None
        for route in waiting:
            route.continue_()

    person.page.route("**/embedding", arrived)
    person.release = release
    yield person


def test_clicks_before_the_image_is_encoded_are_answered(annotator: Any, slow: Any) -> None:
    slow.page.goto(annotator.address)
    slow.until("() => document.querySelector('[data-testid=image-name]').textContent.length > 3")
    slow.click(300, 200)
    slow.click(420, 60, button="right")
    time.sleep(0.3)
    assert slow.get("ready").count() == 0 and slow.get("candidate").count() == 0
    slow.release()
    slow.get("ready").wait_for()
    slow.commit(1)
    slow.wait_until("saved")
    (made,) = annotator.instances("0-coffee.png")
    assert [prompt["label"] for prompt in made["prompts"]] == [1, 0]


def test_clicks_on_an_image_that_is_left_before_it_was_encoded_are_dropped(
    annotator: Any, slow: Any
) -> None:
    slow.page.goto(annotator.address)
    slow.until("() => document.querySelector('[data-testid=image-name]').textContent.length > 3")
    if slow.get("image-name").text_content() == "1-large.jpg":  # which comes first is the queue's
        slow.get("previous-image").click()
    slow.until(
        "() => document.querySelector('[data-testid=image-name]').textContent === '0-coffee.png'"
    )
    before = len(annotator.instances("0-coffee.png"))
    slow.click(100, 100)
    slow.click(200, 150)
    slow.get("next-image").click()
    slow.until(
        "() => document.querySelector('[data-testid=image-name]').textContent === '1-large.jpg'"
    )
    slow.release()
    slow.get("ready").wait_for()
    assert slow.get("candidate").count() == 0
    assert annotator.instances("1-large.jpg") == []
    assert len(annotator.instances("0-coffee.png")) == before


def test_a_large_picture_comes_small_first_and_sharp_once_prompts_are_answered(
    annotator: Any, person: Any
) -> None:
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.open(annotator.address)
    person.go_to("1-large.jpg")
    for _ in range(100):
        ours = [url for url in asked if annotator.image_id("1-large.jpg") in url]
        pictures = [url.rpartition("/")[2] for url in ours if "/picture" in url]
        if "picture" in pictures:
            break
        person.page.wait_for_timeout(50)
    large = [name for name in pictures if name != "picture?max=128"]
    assert large == ["picture?max=1600", "picture"]


def test_the_decoder_has_as_many_threads_as_the_machine_gives(annotator: Any, person: Any) -> None:
    person.open(annotator.address)
    assert person.page.evaluate("crossOriginIsolated")
    assert person.page.evaluate("window.__samkit.threads") == min(4, os.cpu_count() or 1)
    assert person.get("one-thread").count() == ((os.cpu_count() or 1) == 1)
