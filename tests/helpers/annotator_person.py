"""What a person does in the annotator's page."""

import time
from typing import Any

from annotator_server import Annotator

PATIENCE = 120_000  # milliseconds; a busy machine is no failure
SAVE_STATE, IMAGE_NAME = "[data-testid=save-state]", "[data-testid=image-name]"


class Person:
    """A person at a page of the browser; places are in pixels of the image."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def get(self, testid: str) -> Any:
        """An element by its data-testid."""
        return self.page.get_by_test_id(testid)

    def visit(self, server: Annotator, name: str | None = None, address: str | None = None) -> None:
        """Opens the page, at an image as a tab that had it before, or where the queue says.

        address: as somebody else than the owner of the project.
        """
        if name is not None:
            keep = f"sessionStorage['samkit-image'] ??= '{server.image_id(name)}'"
            self.page.add_init_script(f"if (location.protocol === 'http:') {keep}")
        self.page.goto(address or server.address)

    def open(self, server: Annotator, name: str | None = None, address: str | None = None) -> None:
        """Opens the page and waits until prompts are answered."""
        self.visit(server, name, address)
        self.get("ready").wait_for()

    def until(self, condition: str, value: Any = None) -> None:
        """Waits for a JavaScript function of a value to be true.

        The page's policy forbids what playwright's own `wait_for_function` does.
        """
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition, value):
            assert time.monotonic() < end, f"{condition} of {value} did not come true"
            time.sleep(0.03)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the image is in the window."""
        at = self.page.evaluate("([x, y]) => window.__samkit.toWindow(x, y)", [x, y])
        return at["x"], at["y"]

    def click(self, x: float, y: float, button: Any = "left") -> None:
        """A click."""
        self.page.mouse.click(*self.place(x, y), button=button)

    def drag(self, *places: tuple[float, float]) -> None:
        """Presses at the first place and moves to the last."""
        self.page.mouse.move(*self.place(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.place(*place), steps=4)
        self.page.mouse.up()

    def hover(self, x: float, y: float) -> float:
        """Moves there; returns the milliseconds until the mask was painted."""
        before = self.page.evaluate("window.__samkit.hovers")
        self.page.mouse.move(*self.place(x, y))
        self.until("n => window.__samkit.hovers > n", before)
        return self.page.evaluate("window.__samkit.lastHoverMs")

    def key(self, name: str) -> None:
        """Presses a key."""
        self.page.keyboard.press(name)

    def commit(self, count: int) -> None:
        """Enter; then nothing is at hand, and the list has so many masks."""
        self.key("Enter")
        self.until("() => document.querySelector('[data-testid=commit]:disabled')")
        self.wait_for_masks(count)

    def wait_until(self, state: str) -> None:
        """Waits for a word of the save state."""
        self.until(f"s => document.querySelector('{SAVE_STATE}').textContent === s", state)

    def wait_for_masks(self, count: int) -> None:
        """Waits until the list has so many."""
        self.until("n => document.querySelectorAll('[data-testid=instance]').length === n", count)

    def paint(self, y: float, x: float = 60) -> None:
        """A short stroke of the brush."""
        self.key("b")
        self.drag((x, y), (x + 40, y))

    def show(self, name: str) -> None:
        """Opens an image from the strip below."""
        self.page.get_by_label(f"{name}, ").click()
        self.wait_for_image(name)

    def pick(self, name: str) -> None:
        """Opens an image from the strip below and waits until prompts are answered."""
        self.show(name)
        self.get("ready").wait_for()

    def wait_for_image(self, name: str) -> None:
        """Waits until it is on the screen."""
        self.until(f"n => document.querySelector('{IMAGE_NAME}').textContent === n", name)

    def wait_for_another(self, name: str) -> None:
        """Waits until this image is left."""
        self.until(f"n => document.querySelector('{IMAGE_NAME}').textContent !== n", name)
