"""Masks made in the page, by hand and by the model, as a person would make them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

COLOURS = "() => [...document.querySelectorAll('.swatch')].map((e) => e.style.background)"


def pixels(instance: dict[str, Any]) -> np.ndarray:
    return coco.decode(instance["rle"]).astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_clicks_and_boxes_give_the_masks_of_the_python_predictor(
    annotator: Any, person: Any, photo: Any, photos: Path
) -> None:
    import samkit

    name = photo("chelsea")
    person.open(annotator, name)
    person.hover(140, 190)
    assert 0 <= float(person.get("hover-score").text_content()) <= 1
    person.click(200, 150)
    person.get("candidate").nth(2).wait_for()
    names = [chip.split()[0] for chip in person.get("candidate").all_text_contents()]
    assert sorted(names) == ["part", "sub-part", "whole"]
    person.commit(1)
    person.key("r")
    person.drag((60, 20), (330, 280))
    person.get("candidate").first.wait_for()
    person.key("p")
    person.click(300, 30, button="right")
    person.commit(2)
    person.wait_until("saved")
    click, refined = annotator.instances(name)

    predictor = samkit.SamPredictor(samkit.load("default", device="cpu"))
    predictor.set_image(np.asarray(Image.open(photos / name).convert("RGB")))
    by_label = {(p["kind"], p.get("label")): p for p in [*click["prompts"], *refined["prompts"]]}
    point = by_label["point", 1]
    assert (point["x"], point["y"]) == pytest.approx((200, 150), abs=1)
    masks, scores, _ = predictor.predict(np.array([[point["x"], point["y"]]]), np.array([1]))
    assert iou(pixels(click), masks[scores.argmax()]) >= 0.99
    assert click["predicted_iou"] == pytest.approx(scores.max(), abs=0.02)

    box = np.array(by_label["box", None]["box"])
    _, scores, low = predictor.predict(box=box)
    away = by_label["point", 0]
    masks, _, _ = predictor.predict(
        np.array([[away["x"], away["y"]]]),
        np.array([0]),
        box,
        low[scores.argmax()][None],
        multimask_output=False,
    )
    assert iou(pixels(refined), masks[0]) >= 0.99


def test_the_brush_sets_exactly_its_pixels_and_undo_stays_within_the_object(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("coffee")
    person.open(annotator, name)
    person.key("b")
    person.get("brush-size").fill("9")
    person.get("brush-size").press("Tab")
    person.drag((100, 80), (180, 80))
    person.key("[")
    person.drag((300, 200), (300, 260))
    person.key("Control+z")
    person.key("e")
    person.get("brush-size").fill("3")
    person.get("brush-size").press("Tab")
    person.click(140, 80)
    person.get("canvas").focus()
    person.key("g")
    person.click(300, 200)
    person.click(340, 200)
    person.key("Control+z")  # a corner, no stroke
    person.key("Backspace")  # the other one, not the object
    person.key("Escape")
    person.until("() => document.querySelector('[data-testid=commit]:disabled')")
    person.key("Control+z")  # what was cancelled
    person.commit(1)
    person.key("Control+z")  # nothing: the next object has no past
    person.wait_until("saved")
    (painted,) = annotator.instances(name)
    mask = pixels(painted)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    line = np.hypot(x - np.clip(x, 100, 180), y - 80) <= 4.5
    hole = np.hypot(x - 140, y - 80) <= 1.5
    assert (mask != (line & ~hole)).sum() <= 20  # a pixel of the window is not one of the image
    assert not mask[200:260, 300].any()
    assert mask[80, 100] and not mask[80, 140]


def test_masks_outlive_a_killed_server_and_leave_as_coco(
    annotator: Any, person: Any, photo: Any
) -> None:
    other, name = photo("astronaut"), photo("astronaut")
    person.open(annotator, other)
    person.pick(name)
    person.click(220, 120)
    person.get("candidate").first.wait_for()
    person.commit(1)
    person.key("r")
    person.drag((300, 20), (480, 300))
    person.get("candidate").first.wait_for()
    person.commit(2)
    person.key("b")
    person.drag((60, 400), (160, 420), (120, 460))
    person.commit(3)
    person.wait_until("saved")
    annotator.kill()
    person.key("g")
    for corner in ((30, 30), (110, 40), (60, 110)):
        person.click(*corner)
    person.key("Enter")  # closes the polygon
    person.commit(4)
    person.key("b")
    person.drag((400, 440), (460, 440))
    person.key("e")
    person.drag((430, 430), (430, 450))
    person.commit(5)
    person.wait_until("offline")
    person.page.goto(annotator.start())
    person.wait_until("saved")
    assert len(annotator.instances(name)) == 5
    colours = person.page.evaluate(COLOURS)
    assert len(set(colours)) == 5
    person.page.get_by_label("Masks", exact=True).fill("0.5")
    person.page.reload()
    person.get("ready").wait_for()
    assert person.get("image-name").text_content() == name
    assert person.get("instance").count() == 5
    assert person.page.evaluate(COLOURS) == colours
    assert person.page.get_by_label("Masks", exact=True).input_value() == "0.5"
    person.get("submit-image").click()
    person.wait_for_another(name)
    job = annotator.wait_for(annotator.ask("/api/exports", {"format": "coco"})["job"])
    archive = zipfile.ZipFile(io.BytesIO(annotator.ask(job["result"]["file"])))
    (document,) = [n for n in archive.namelist() if n.endswith("instances.json")]
    exported = COCO()
    exported.dataset = json.loads(archive.read(document))
    exported.createIndex()
    (entry,) = [i for i in exported.dataset["images"] if i["file_name"] == name]
    annotations = exported.loadAnns(exported.getAnnIds(imgIds=[entry["id"]]))
    areas = sorted(int(pixels(i).sum()) for i in annotator.instances(name))
    assert len(areas) == 5
    assert sorted(int(exported.annToMask(a).sum()) for a in annotations) == areas


def test_a_stale_change_is_shown_side_by_side_and_both_can_be_kept(
    annotator: Any, person: Any, photo: Any
) -> None:
    name, other_name = photo("chelsea"), photo("chelsea")
    person.open(annotator, name)
    person.key("b")
    person.drag((50, 50), (90, 50))
    person.commit(1)
    person.wait_until("saved")
    (made,) = annotator.instances(name)
    value = {k: v for k, v in made.items() if k not in ("id", "version", "editor")}
    image = annotator.image_id(name)

    def they_say(label: str, instance: Any) -> None:
        put = {"op": label, "kind": "put", "instance": instance["id"], "base": instance["version"]}
        sent = {**put, "value": {**value, "labels": [label]}}
        annotator.ask(f"/api/images/{image}/operations", {"client": "x", "operations": [sent]})

    they_say("theirs", made)
    person.key("k")
    person.drag((50, 90), (90, 90))
    person.key("Enter")
    person.wait_until("conflict")
    person.show(other_name)
    person.get("save-state").click()
    sides = person.page.locator(".sides figure")
    assert sides.locator("canvas").count() == 0
    assert person.get("open-conflict").text_content() == f"Open {name}"
    person.get("open-conflict").click()
    person.wait_for_image(name)
    sides.locator("canvas").first.wait_for()
    assert sides.locator("canvas").count() == sides.count() == 2
    assert "theirs" in sides.nth(1).text_content()
    person.page.locator("dialog[open] header button").click()
    person.paint(150)  # another object is at hand
    person.get("save-state").click()
    person.get("keep-both").click()
    person.wait_for_masks(3)
    person.wait_until("saved")
    found = annotator.instances(name)
    assert sorted(i["labels"] for i in found) == [[], [], ["theirs"]]
    assert len({i["rle"]["counts"] for i in found}) == 3
    they_say("again", next(one for one in found if one["id"] == made["id"]))
    person.get("instance").filter(has_text="theirs").locator(".pick").click()
    person.key("b")
    person.drag((50, 200), (90, 200))
    person.key("Enter")
    person.wait_until("conflict")
    person.get("save-state").click()
    held: list[Any] = []  # the image as it is read anew after the conflict
    person.page.route(f"**/api/images/{image}", lambda route: held.append(route), times=1)
    with person.page.expect_request(f"**/api/images/{image}"):
        person.get("keep-mine").click()
    person.wait_until("saved")
    person.page.locator("dialog[open] header button").click()
    person.get("submit-image").click()
    they_say("unseen", next(one for one in annotator.instances(name) if one["id"] != made["id"]))
    held[0].continue_()
    person.page.get_by_role("status").filter(has_text="Others changed more").wait_for()
    person.get("instance").filter(has_text="unseen").wait_for()
    assert annotator.ask(f"/api/images/{image}")["state"] != "submitted"
    person.get("submit-image").click()
    person.page.locator(f"[data-testid=image-name]:not([title='{name}'])").wait_for()
    assert annotator.ask(f"/api/images/{image}")["state"] == "submitted"


def test_suggestions_are_accepted_and_rejected_by_key_and_no_label_runs_as_script(
    annotator: Any, person: Any, photo: Any
) -> None:
    name, script = photo("astronaut"), "<img src=x onerror=\"document.title='run'\">"
    boxes = [(50, 40 + 100 * i, 200, 100 + 100 * i) for i in range(3)]
    fields = {"stage": "suggested", "labels": [script]}
    scores = (0.95, 0.9, 0.4)
    suggested = [
        {"box": box, "predicted_iou": score, **fields}
        for box, score in zip(boxes, scores, strict=True)
    ]
    annotator.put(name, suggested)
    person.open(annotator, name)
    person.wait_for_masks(3)
    person.key("Shift+Y")
    person.until(
        "() => document.querySelector('[data-testid=accept-all]')?.textContent === 'All 0'"
    )
    person.key("x")
    person.until("() => document.querySelectorAll('[data-testid=instance]').length === 2")
    person.wait_until("saved")
    found = annotator.instances(name)
    assert [i["stage"] for i in found] == ["accepted", "accepted"]
    assert found[0]["labels"] == [script]
    assert person.page.title() != "run"
