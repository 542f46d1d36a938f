"""Several people at one project: review, skipping, who works on what, and what leaves it."""

import json
import sqlite3
import time
import zipfile
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from samkit.annotate.queueing import LEASE_SECONDS


def test_a_reviewer_sends_an_image_back_with_a_comment_and_accepts_it_in_the_end(
    annotator: Any, people: Any, photo: Any
) -> None:
    name, other = photo("rocket"), photo("rocket")
    ann = people("ann", "annotator", name)
    ann.paint(60)
    ann.commit(1)
    ann.get("submit-image").click()
    ann.wait_for_another(name)
    rita = people("rita", "reviewer", name)
    assert ann.get("review-accept").count() == 0
    rita.get("note").fill("the fins are missing")
    rita.get("review-reject").click()
    rita.page.get_by_text("the fins are missing").wait_for()
    assert annotator.state(name) == "rejected"
    rita.pick(other)
    ann.pick(name)
    assert "reject: the fins are missing" in ann.get("review").text_content()
    ann.paint(90)
    ann.commit(2)
    ann.wait_until("saved")
    ann.key("Control+Enter")
    ann.wait_for_another(name)
    rita.pick(name)
    rita.wait_for_masks(2)
    annotator.put(name, [{"box": (5, 5, 30, 30)}])
    rita.get("review-accept").click()
    rita.page.get_by_text("The image has changed since you saw it").wait_for()
    rita.wait_for_masks(3)
    assert annotator.state(name) == "submitted"
    rita.get("review-accept").click()
    rita.page.get_by_text("Accepted.").wait_for()
    assert annotator.state(name) == "accepted"


def test_an_image_is_skipped_with_a_reason(annotator: Any, person: Any, photo: Any) -> None:
    name, later, chosen = (photo("coffee") for _ in range(3))
    person.open(annotator, name)
    assert person.get("skip-image").is_disabled()
    person.key("Control+Backspace")
    person.key("Enter")  # without a reason nothing happens
    person.page.keyboard.type("nothing to see")
    assert person.get("note").input_value() == "nothing to see"
    person.key("Enter")
    person.wait_for_another(name)
    assert person.get("note").input_value() == ""
    assert annotator.state(name) == "skipped"
    database = sqlite3.connect(annotator.folder / "project.sqlite")
    query = "SELECT after, note FROM transitions WHERE image_id = ?"
    rows = database.execute(query, [annotator.image_id(name)]).fetchall()
    assert rows[-1] == ("skipped", "nothing to see")
    database.close()
    person.pick(later)
    held: list[Any] = []
    asked: list[str] = []
    person.page.route("**/submit", lambda route: held.append(route))
    person.page.on("request", lambda request: asked.append(request.url))
    with person.page.expect_request("**/submit"):
        person.key("Control+Enter")
    person.key("Control+Enter")
    person.pick(chosen)  # before the answer comes
    assert len(held) == 1
    held[0].continue_()
    person.page.get_by_label(f"{later}, submitted").wait_for()
    assert not [url for url in asked if "/queue/" in url]
    assert person.get("image-name").text_content() == chosen


def test_who_opens_what_somebody_has_sees_the_name_and_changes_nothing_before_taking_over(
    annotator: Any, person: Any, people: Any, photo: Any
) -> None:
    name, other = photo("chelsea"), photo("chelsea")
    person.open(annotator, name)
    owner = annotator.ask("/api/project")["me"]["name"]
    bob = people("bob", "annotator", name)
    assert owner in bob.get("held").text_content()
    bob.paint(60)
    bob.key("Enter")
    bob.page.get_by_text(f"{owner} is working on this image. Take").wait_for()
    assert bob.get("instance").count() == 0
    assert bob.get("submit-image").is_disabled()
    person.paint(60)
    person.commit(1)
    person.wait_until("saved")
    person.paint(120)  # not committed when bob comes
    bob.get("take-over").click()
    bob.get("held").wait_for(state="detached")
    person.get("held").wait_for()
    person.wait_for_masks(2)  # what was at hand was kept
    person.wait_until("saved")
    bob.until("() => document.querySelector('[data-testid=instance]')")
    seen = bob.get("instance").count()
    assert seen in (1, 2)  # the second may reach the server before bob's page asks it, or after
    bob.paint(180)
    bob.commit(seen + 1)
    bob.wait_until("saved")
    assert len(annotator.instances(name)) == 3
    bob.pick(other)  # gives it back
    person.get("held").wait_for(state="detached")
    person.wait_for_masks(3)


def test_who_leaves_the_page_gives_the_image_to_others_at_once(
    annotator: Any, person: Any, people: Any, photo: Any
) -> None:
    name = photo("coffee")
    person.open(annotator, name)
    bob = people("bob", "annotator", name)
    bob.get("held").wait_for()
    person.page.goto("about:blank")
    started = time.monotonic()
    bob.get("held").wait_for(state="detached")
    assert time.monotonic() - started < LEASE_SECONDS / 3  # given back, not run out


def test_masks_leave_the_page_in_every_format_it_offers(
    annotator: Any, person: Any, photo: Any, tmp_path: Path
) -> None:
    name = photo("astronaut")
    person.open(annotator, name)
    person.paint(100)
    person.commit(1)
    person.wait_until("saved")
    person.get("submit-image").click()
    person.wait_for_another(name)
    person.get("export").click()
    offered = person.page.locator("[data-testid=export-format] b").all_text_contents()
    assert offered == annotator.ask("/api/project")["formats"]
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name="coco COCO").click()
    download.value.save_as(tmp_path / "out.zip")
    assert "In the file:" in person.get("export-result").text_content()
    exported = COCO()
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        (document,) = [n for n in archive.namelist() if n.endswith("instances.json")]
        exported.dataset = json.loads(archive.read(document))
    exported.createIndex()
    assert len(exported.getAnnIds()) >= 1
