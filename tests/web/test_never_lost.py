"""Nothing that was committed is lost: without a network, and when the tab is closed."""

from typing import Any


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


def test_a_tab_that_was_closed_offline_has_its_masks_when_it_is_opened_again(
    annotator: Any, person: Any, photo: Any
) -> None:
    name, other = photo("chelsea"), photo("chelsea")
    person.open(annotator, name)
    context = person.page.context
    context.set_offline(True)
    person.paint(60)
    person.commit(1)
    person.wait_until("offline")
    person.page.close()
    context.set_offline(False)
    again = type(person)(context.new_page())
    again.open(annotator, other)
    again.wait_until("saved")
    assert len(annotator.instances(name)) == 1
    again.pick(name)
    again.wait_for_masks(1)
    assert again.errors == []
