"""What the page's tools make: scribbles, close-ups, refined imports, suggestions, keys alone."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

ANSWERED = "() => document.querySelector('[data-testid=undo]:enabled') !== null"


def pixels(instance: dict[str, Any]) -> np.ndarray:
    return coco.decode(instance["rle"]).astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_a_scribble_gives_several_points_and_a_mask(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("astronaut")
    person.open(annotator, name)
    started = time.monotonic()
    for step in range(5):  # looking around counts
        person.page.mouse.move(*person.place(50 + 20 * step, 300))
        time.sleep(0.3)
    looked = time.monotonic() - started
    person.key("s")
    person.drag((130, 80), (220, 100), (250, 180))
    person.until(ANSWERED)
    person.commit(1)
    person.wait_until("saved")
    (made,) = annotator.instances(name)
    assert made["seconds"] > looked
    points = [p for p in made["prompts"] if p["kind"] == "point"]
    assert 2 < len(points) <= 8 and {p["label"] for p in points} == {1}
    assert (points[0]["x"], points[0]["y"]) != (points[-1]["x"], points[-1]["y"])
    assert pixels(made).sum() > 100


def test_a_close_up_encodes_what_is_in_view_and_gives_the_mask_of_that_crop(
    annotator: Any, person: Any, photo: Any, photos: Path
) -> None:
    import samkit

    name = photo("coffee")
    crops: list[list[int]] = []

    def note(request: Any) -> None:
        if found := re.search(r"embedding\?crop=([\d,]+)", request.url):
            crops.append([int(side) for side in found[1].split(",")])

    person.page.on("request", note)
    person.open(annotator, name)
    person.page.mouse.move(*person.place(300, 200))
    for _ in range(6):
        person.key("+")
    person.key("z")
    person.until("() => document.querySelector('[data-testid=ready]')?.textContent === 'close-up'")
    person.click(300, 200)
    person.click(320, 210)
    person.commit(1)
    person.key("z")
    person.until("() => document.querySelector('[data-testid=ready]')?.textContent === 'ready'")
    person.key("k")
    person.key("Control+z")  # the answers of the crop, which is not what is encoded now
    person.key("Tab")
    person.key("Enter")
    person.get("candidate").first.wait_for(state="detached")
    person.wait_until("saved")
    (made,) = annotator.instances(name)
    ((x0, y0, x1, y1),) = crops
    picture = np.asarray(Image.open(photos / name).convert("RGB"))
    assert 64 <= x1 - x0 < picture.shape[1] / 2
    predictor = samkit.SamPredictor(samkit.load("default", device="cpu"))
    predictor.set_image(np.ascontiguousarray(picture[y0:y1, x0:x1]))
    (point,) = made["prompts"]
    masks, scores, _ = predictor.predict(
        np.array([[point["x"] - x0, point["y"] - y0]]), np.array([1])
    )
    whole = np.zeros(picture.shape[:2], bool)
    whole[y0:y1, x0:x1] = masks[scores.argsort()[1]]
    assert iou(pixels(made), whole) >= 0.99


def test_an_imported_mask_is_refined_by_a_click(annotator: Any, person: Any, photo: Any) -> None:
    name = photo("chelsea")
    source = {"id": 7, "stability_score": 0.5, "crop_box": [0, 0, 451, 300]}
    fields = {"stage": "imported", "predicted_iou": 0.25, "source": source, "labels": ["cat"]}
    annotator.put(name, [{"box": (100, 60, 300, 260), **fields}])
    (before,) = annotator.instances(name)
    person.open(annotator, name)
    person.key("j")
    person.key("t")
    person.page.keyboard.type("face")
    person.key("Enter")
    person.key("Enter")  # a label alone leaves pixels and scores as they were
    person.wait_until("saved")
    (labelled,) = annotator.instances(name)
    assert labelled["labels"] == ["cat", "face"] and labelled["version"] > 1
    kept = ("rle", "predicted_iou", "source", "stage")
    assert {key: labelled[key] for key in kept} == {key: before[key] for key in kept}
    person.page.keyboard.down("Control")
    person.click(200, 150)
    person.page.keyboard.up("Control")
    person.click(330, 150)
    person.until(ANSWERED)
    person.commit(1)
    person.wait_until("saved")
    (refined,) = annotator.instances(name)
    assert refined["id"] == before["id"] and refined["version"] > labelled["version"]
    assert refined["stage"] == "imported" and "source" not in refined
    assert refined["predicted_iou"] != before["predicted_iou"]
    assert refined["prompts"][-1]["kind"] == "point"
    assert refined["rle"] != before["rle"]


def test_suggestions_above_the_slider_are_accepted_together_and_others_one_by_one(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("astronaut")
    scores = (0.95, 0.7, 0.65, 0.4)
    annotator.put(
        name,
        [
            {"box": (20, 20 + 100 * i, 200, 90 + 100 * i), "stage": "suggested", "predicted_iou": s}
            for i, s in enumerate(scores)
        ],
    )
    person.open(annotator, name)
    person.wait_for_masks(4)
    person.page.get_by_label("Reject object 3").click()
    person.wait_for_masks(3)
    person.get("threshold").fill("0.69")
    assert person.get("accept-all").text_content() == "All 2"
    person.page.wait_for_timeout(200)  # looking counts, in tenths of a second, half for each
    person.get("accept-all").click()
    person.page.get_by_text("2 accepted, 1 left.").wait_for()
    person.get("canvas").focus()
    person.key("y")
    person.get("accept").wait_for(state="detached")
    person.wait_until("saved")
    found = annotator.instances(name)
    assert [(i["stage"], i["predicted_iou"]) for i in found] == [
        ("accepted", 0.95),
        ("accepted", 0.7),
        ("accepted", 0.4),
    ]
    assert all(i["seconds"] > 0 for i in found[:2])  # the last took a blink
    assert "3 masks" in person.page.locator(".figures").text_content()


def test_the_keyboard_alone_makes_labels_undoes_deletes_and_submits(
    annotator: Any, person: Any, photo: Any
) -> None:
    before, name = photo("rocket"), photo("rocket")
    person.open(annotator, before)
    person.get("canvas").focus()
    person.key("d")
    person.wait_for_image(name)
    person.get("ready").wait_for()
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "f"):
        person.key(key)
    person.get("candidate").nth(2).wait_for()
    person.key("Tab")
    person.key("Shift+ArrowLeft")
    person.key("Shift+f")  # takes that place away again
    person.until("() => !document.querySelector('[data-testid=redo]:enabled')")
    person.key("Control+z")
    person.until("() => document.querySelector('[data-testid=redo]:enabled')")
    person.key("t")
    person.page.keyboard.type("rocket")
    person.key("Enter")
    person.commit(1)
    person.wait_until("saved")
    (made,) = annotator.instances(name)
    assert made["labels"] == ["rocket"] and made["stage"] == "manual" and made["seconds"] > 0
    assert [(p["kind"], p["label"]) for p in made["prompts"]] == [("point", 1)]
    person.key("j")
    person.key("Delete")
    person.wait_for_masks(0)
    person.wait_until("saved")
    assert annotator.instances(name) == []
    person.key("Control+z")
    person.wait_for_masks(1)
    person.wait_until("saved")
    (again,) = annotator.instances(name)
    assert again["id"] == made["id"] and again["version"] == made["version"] + 2
    assert {**again, "version": 0} == {**made, "version": 0}
    assert person.get("undo").is_disabled()
    for _ in range(8):
        person.key("+")
    before = person.page.evaluate("window.__samkit.toImage(0, 0).x")
    for key in ("b", "f", *["Shift+ArrowRight"] * 24, "f"):
        person.key(key)
    assert person.page.evaluate("window.__samkit.toImage(0, 0).x") > before + 10
    person.commit(2)
    person.wait_until("saved")
    painted = pixels(annotator.instances(name)[1])
    (columns,) = painted.any(axis=0).nonzero()
    assert painted[:, columns[0] : columns[-1]].any(axis=0).all()  # a line, not two dots
    assert len(columns) > 24 + 20
    person.key("Control+Enter")
    person.wait_for_another(name)
    assert annotator.state(name) == "submitted"
    assert len(annotator.instances(name)) == 2


def test_keys_can_be_chosen_except_those_that_mean_something_else(
    annotator: Any, person: Any
) -> None:
    person.visit(annotator)
    person.get("help").click()
    choice = person.page.get_by_label("Keys of: Brush")
    choice.click()
    person.key("1")
    person.page.get_by_text("1 gives a label; choose another key.").wait_for()
    person.key("Escape")
    assert choice.text_content() == "B"
    choice.click()
    person.key("v")
    person.page.get_by_role("button", name="Close", exact=True).click()
    assert person.get("tool-brush").get_attribute("title") == "Brush (V)"


def test_a_thousand_masks_are_listed_hidden_and_locked(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("rocket")
    boxes = [(8 + 12 * (i % 40), 8 + 12 * (i // 40)) for i in range(1000)]
    annotator.put(name, [{"box": (x, y, x + 9, y + 9)} for x, y in boxes])
    person.open(annotator, name)
    person.wait_for_masks(1000)
    row = person.get("instance").nth(700)
    row.scroll_into_view_if_needed()
    row.get_by_label("Hide object 701").click()
    row.get_by_label("Lock object 701").click()
    person.key("Shift+h")
    person.until("() => document.querySelector('.layer:nth-child(2)').style.opacity === '0'")
    person.key("Shift+h")
    person.page.keyboard.down("Control")
    person.click(boxes[20][0] + 4, boxes[20][1] + 4)
    person.page.keyboard.up("Control")
    person.key("Delete")
    person.wait_for_masks(999)
    person.wait_until("saved")
    found = {i["id"]: i for i in annotator.instances(name)}
    assert len(found) == 999 and "given-20" not in found
    assert [i["id"] for i in found.values() if i["hidden"]] == ["given-700"]
    assert [i["id"] for i in found.values() if i["locked"]] == ["given-700"]
