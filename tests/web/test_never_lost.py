"""Nothing is lost: without a network, when the tab is closed, and by a wrong key."""

import json
from typing import Any

KEPT = """() => new Promise((resolve) => {
  const opening = indexedDB.open('samkit-drafts');
  opening.onsuccess = () => {
    const all = opening.result.transaction('drafts').objectStore('drafts').getAll();
    all.onsuccess = () => resolve(all.result.map((kept) => [kept.prompts.length, kept.labels]));
  };
})"""  # prompts and labels of what is at hand, as the browser's disk has it


def test_what_is_made_offline_is_kept_and_sent_when_the_network_is_back(
    annotator: Any, person: Any, photo: Any
) -> None:
    name = photo("astronaut")
    person.open(annotator, name)
    person.page.context.set_offline(True)
    person.paint(60)
    person.commit(1)
    person.wait_until("offline")
    assert "1 kept here" in person.page.locator(".save").text_content()
    person.paint(120)
    person.commit(2)
    assert annotator.instances(name) == []
    person.page.context.set_offline(False)
    person.wait_until("saved")
    assert len(annotator.instances(name)) == 2


def test_what_is_saved_while_its_image_is_read_is_shown(
    annotator: Any, person: Any, photo: Any
) -> None:
    name, other = photo("astronaut"), photo("astronaut")
    lost, held = [True], []

    def save(route: Any) -> None:
        route.abort() if lost else route.continue_()

    def hold(route: Any) -> None:
        route.continue_() if held else held.append((route, route.fetch()))

    person.open(annotator, name)
    person.page.route("**/operations", save)
    person.paint(60)
    person.commit(1)
    person.wait_until("offline")
    person.show(other)
    person.page.route(f"**/api/images/{annotator.image_id(name)}", hold)
    person.page.get_by_label(f"{name}, ").click()
    while not held:
        person.page.wait_for_timeout(20)
    lost.clear()
    person.wait_until("saved")
    held[0][0].fulfill(response=held[0][1])
    person.wait_for_image(name)
    person.wait_for_masks(1)


def wait_until_kept(person: Any, *drafts: list[Any]) -> None:
    person.until(f"async (wanted) => JSON.stringify(await ({KEPT})()) === wanted", as_json(drafts))


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def test_a_tab_that_was_closed_offline_has_its_masks_and_what_was_at_hand_when_opened_again(
    annotator: Any, person: Any, photo: Any
) -> None:
    name, other = photo("chelsea"), photo("chelsea")
    person.open(annotator, name)
    context = person.page.context
    context.set_offline(True)
    person.paint(60)
    person.commit(1)
    person.wait_until("offline")
    person.paint(120)  # not committed
    wait_until_kept(person, [1, []])
    person.page.close()
    context.set_offline(False)
    again = type(person)(context.new_page())
    again.open(annotator, other)
    again.wait_until("saved")
    assert len(annotator.instances(name)) == 1
    again.page.get_by_label(f"{name}, ").click()
    again.page.get_by_text("What you had at hand is here again.").wait_for()  # for three seconds
    again.wait_for_masks(1)
    assert again.page.evaluate("document.activeElement.dataset.testid") == "canvas"
    again.commit(2)  # and does not open the image once more
    wait_until_kept(again)
    again.wait_until("saved")
    first, second = annotator.instances(name)
    assert first["prompts"] == second["prompts"] == [{"kind": "brush"}]
    assert first["rle"] != second["rle"]
    again.key("k")
    again.key("p")
    again.click(200, 150)
    again.key("t")
    again.page.keyboard.type("cat")
    again.key("Enter")
    wait_until_kept(again, [2, ["cat"]])
    again.page.reload()
    again.page.get_by_text("What you had at hand is here again.").wait_for()
    again.key("Enter")
    wait_until_kept(again)
    assert "1 mask" in again.page.locator(".figures").text_content()  # that of this tab
    again.wait_until("saved")
    (_, changed) = annotator.instances(name)
    assert changed["id"] == second["id"] and changed["version"] == second["version"] + 1
    assert changed["labels"] == ["cat"] and changed["predicted_iou"] > 0
    assert changed["rle"] != second["rle"] and changed["seconds"] > second["seconds"]
    assert again.errors == []
