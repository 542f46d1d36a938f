"""From the opening of an image to the first answer."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest


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


def test_clicks_before_the_image_is_encoded_are_answered_and_by_as_many_threads_as_there_are(
    annotator: Any, slow: Any, photo: Any
) -> None:
    name = photo("coffee")
    slow.visit(annotator, name)
    slow.wait_for_image(name)
    slow.click(300, 200)
    slow.click(420, 60, button="right")
    time.sleep(0.3)
    assert slow.get("ready").count() == 0 and slow.get("candidate").count() == 0
    slow.release()
    slow.get("ready").wait_for()
    slow.commit(1)
    slow.wait_until("saved")
    (made,) = annotator.instances(name)
    assert [prompt["label"] for prompt in made["prompts"]] == [1, 0]
    cores = os.cpu_count() or 1
    assert slow.page.evaluate("crossOriginIsolated")
    assert slow.page.evaluate("window.__samkit.threads") == min(4, cores)
    assert slow.get("one-thread").count() == (cores == 1)


def test_clicks_on_an_image_that_is_left_before_it_was_encoded_are_dropped(
    annotator: Any, slow: Any, photo: Any
) -> None:
    left, name = photo("coffee"), photo("coffee")
    slow.visit(annotator, left)
    slow.wait_for_image(left)
    slow.click(100, 100)
    slow.click(200, 150)
    slow.get("next-image").click()
    slow.wait_for_image(name)
    slow.release()
    slow.get("ready").wait_for()
    assert slow.get("candidate").count() == 0
    slow.paint(60)  # in its turn: after whatever was to be answered
    slow.commit(1)
    slow.wait_until("saved")
    assert annotator.instances(left) == []
    (made,) = annotator.instances(name)
    assert made["prompts"] == [{"kind": "brush"}]


def test_where_encoding_failed_all_but_prompts_goes_on_and_it_can_be_tried_again(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("rocket")
    person.page.route("**/embedding", lambda route: route.fulfill(status=500))
    person.visit(annotator, name)
    person.get("not-encoded").wait_for()
    for _ in range(2):
        person.click(300, 200)  # dropped, at once
    person.paint(60)
    person.commit(1)
    person.wait_until("saved")
    (made,) = annotator.instances(name)
    assert made["prompts"] == [{"kind": "brush"}]
    person.page.unroute("**/embedding")
    person.get("encode-again").click()
    person.get("ready").wait_for()
    person.key("p")
    person.click(300, 200)
    person.get("candidate").nth(2).wait_for()


def test_a_large_picture_comes_small_first_and_sharp_once_prompts_are_answered(
    annotator: Any, person: Any, large: str
) -> None:
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.open(annotator, large)
    pictures: list[str] = []
    for _ in range(2400):
        ours = [url for url in asked if annotator.image_id(large) in url]
        pictures = [url.rpartition("/")[2] for url in ours if "/picture" in url]
        if "picture" in pictures:
            break
        person.page.wait_for_timeout(50)
    of_the_stage = [name for name in pictures if name != "picture?max=128"]
    assert of_the_stage == ["picture?max=1600", "picture"]
