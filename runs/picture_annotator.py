"""Makes docs/pictures/annotator-*.jpg: the annotator's page at each step, light and dark.

    python runs/picture_annotator.py [--browser /usr/bin/chromium]

Drives a headless Chromium over photographs of scikit-image with the bundled model. Needs playwright
and the page (npm --prefix web run build).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import skimage
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from samkit.files import atomic_write

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"
PHOTOS = ("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
SUGGESTED = "astronaut"
WIDTH, HEIGHT = 1280, 760
MOST_BYTES = 150_000
WAIT = 90_000  # milliseconds


def main() -> None:
    """Makes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    browser = parser.parse_args().browser
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        photos, store = Path(place, "photos"), Path(place, "suggested")
        _copy_photographs(photos)
        _suggest(photos / f"{SUGGESTED}.jpg", store)
        with _serving(photos, store) as address:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(WAIT)
            page.goto(address)
            page.get_by_test_id("ready").wait_for()
            _play(Person(page))
            chromium.close()


class Person:
    """A hand at the page; places are in pixels of the image."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def get(self, testid: str) -> Locator:
        """An element by its data-testid."""
        return self.page.get_by_test_id(testid)

    def pick(self, name: str) -> None:
        """Opens an image."""
        self.page.get_by_label(f"{name}, ").click()
        self.page.locator("[data-testid=image-name]", has_text=name).wait_for()
        self.get("ready").wait_for()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the image is in the window."""
        at = self.page.evaluate("([x, y]) => window.__samkit.toWindow(x, y)", [x, y])
        return at["x"], at["y"]

    def hover(self, x: float, y: float) -> None:
        """Moves there and waits for the mask."""
        before = self.page.evaluate("window.__samkit.hovers")
        self.page.mouse.move(*self.place(x, y))
        while self.page.evaluate("window.__samkit.hovers") == before:
            self.page.wait_for_timeout(50)

    def click(self, x: float, y: float) -> None:
        """Clicks and waits for the answer."""
        self.page.mouse.click(*self.place(x, y))
        self.page.wait_for_timeout(300)
        self.page.locator("[data-testid=undo]:enabled").wait_for()
        self.page.wait_for_timeout(1500)

    def drag(self, *places: tuple[float, float]) -> None:
        """Presses at the first place and moves to the last."""
        self.page.mouse.move(*self.place(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.place(*place), steps=6)
        self.page.mouse.up()
        self.page.wait_for_timeout(1000)

    def keep(self, label: str | None = None) -> None:
        """Gives a label and commits."""
        if label is not None:
            self.page.keyboard.press("t")
            self.page.keyboard.type(label)
            self.page.keyboard.press("Enter")
        self.page.keyboard.press("Enter")
        self.page.locator("[data-testid=save-state]", has_text="saved").wait_for()

    def photograph(self, step: str) -> None:
        """The window in both colour schemes: annotator-STEP.jpg and annotator-STEP-dark.jpg."""
        self.page.emulate_media(color_scheme="dark")
        self._save(f"annotator-{step}-dark.jpg")
        self.page.emulate_media(color_scheme="light")
        self._save(f"annotator-{step}.jpg")

    def _save(self, name: str) -> None:
        self.page.wait_for_timeout(500)
        _save(self.page.screenshot(), OUT / name)


def _play(person: Person) -> None:
    """From the first image to the export."""
    keys = person.page.keyboard
    person.pick("coffee.jpg")
    person.page.wait_for_timeout(1500)  # thumbnails
    person.photograph("start")
    person.hover(330, 150)
    person.photograph("hover")
    person.click(330, 150)
    person.photograph("candidates")
    person.keep("cup and saucer")
    keys.press("r")
    person.drag((170, 15), (420, 300))
    person.keep("cup")
    keys.press("b")
    person.drag((412, 74), (404, 98))
    person.drag((392, 196), (380, 240))
    person.drag((352, 292), (366, 276), (386, 276), (384, 300), (364, 314), (352, 296), (370, 292))
    person.photograph("brush")
    person.keep("spoon")
    person.get("submit-image").click()
    person.page.wait_for_timeout(1000)
    person.pick(f"{SUGGESTED}.jpg")
    person.get("threshold").fill("0.6")
    keys.press("Escape")
    person.page.wait_for_timeout(1000)
    person.photograph("suggestions")
    person.pick("coffee.jpg")
    person.get("note").fill("The spoon goes on to the left")
    person.photograph("review")
    person.get("review-accept").click()
    person.get("export").click()
    person.page.locator("[data-testid=export-format]", has_text="labelmap").click()
    person.get("export-result").wait_for()
    person.photograph("export")


def _copy_photographs(folder: Path) -> None:
    folder.mkdir()
    for name in PHOTOS:
        with Image.open(Path(skimage.__file__).parent / "data" / name) as picture:
            picture.convert("RGB").save(folder / f"{Path(name).stem}.jpg", quality=95)


def _suggest(photo: Path, store: Path) -> None:
    """What the model finds in a photograph by itself."""
    words = ["auto", str(photo), "-o", str(store)]
    subprocess.run([sys.executable, "-m", "samkit", *words], check=True, stderr=subprocess.DEVNULL)


@contextmanager
def _serving(photos: Path, store: Path) -> Iterator[str]:
    """The address of `samkit annotate` with the suggestions."""
    words = ["annotate", str(photos), "--import", str(store), "--import-as", "suggested"]
    process = subprocess.Popen(
        [sys.executable, "-m", "samkit", *words, "--no-open"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _save(data: bytes, path: Path) -> None:
    """As JPEG, in the best quality that fits."""
    picture = Image.open(BytesIO(data)).convert("RGB")
    for quality in range(90, 30, -4):
        file = BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, subsampling=0)
        if len(file.getvalue()) <= MOST_BYTES:
            break
    with atomic_write(path) as target:
        target.write(file.getvalue())


if __name__ == "__main__":
    main()
