"""Makes docs/pictures/annotator-*.jpg: the annotator's page at each step, light and dark.

    python runs/picture_annotator.py [--browser /usr/bin/chromium]

Drives a headless Chromium over photographs of scikit-image with the bundled model. Needs playwright
and the page (npm --prefix web run build).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import skimage
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from samkit.annotate.client import Client
from samkit.files import atomic_write
from samkit.masks import rle

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"
PHOTOS = ("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
SUGGESTED = "astronaut"
WIDTH, HEIGHT = 1280, 760
MOST_BYTES = 120_000
WAIT = 90_000  # milliseconds
HANDLE = ((244, 240), (216, 246), (200, 270), (204, 300), (226, 300), (236, 268), (226, 270))


def main() -> None:
    """Makes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    browser = parser.parse_args().browser
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        photos, store = Path(place, "photos"), Path(place, "suggested")
        _copy_photographs(photos)
        _suggest(photos / f"{SUGGESTED}.jpg", store)
        server = Server(photos, store)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(WAIT)
        try:
            page.goto(server.start())
            page.get_by_test_id("ready").wait_for()
            _play(Person(page), server)
        finally:
            chromium.close()
            server.kill()


class Server:
    """`samkit annotate` over the photographs, with the suggestions."""

    def __init__(self, photos: Path, store: Path) -> None:
        self._words = [str(photos), "--import", str(store), "--import-as", "suggested"]
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> str:
        """Starts it, on the same port as before; its address."""
        words = [sys.executable, "-m", "samkit", "annotate", *self._words, "--no-open"]
        self._process = subprocess.Popen(
            [*words, "--port", self._port],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self._port = str(urlsplit(self.address).port)
        return self.address

    def kill(self) -> None:
        """At once, with the process that has the model."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def meanwhile(self, name: str, label: str, new_label: str) -> None:
        """Ben changes the label of an object, and takes away the lower part of it."""
        client = Client(f"{self.address.split('#')[0]}#token={self._token_of('Ben')}")
        (image,) = (image["id"] for image in client.images() if image["name"] == name)
        instances = client.image(image)["instances"]
        (own,) = (instance for instance in instances if instance["labels"] == [label])
        mask = rle.decode(own["rle"])
        rows = np.flatnonzero(mask.any(axis=1))
        mask[(rows[0] + 2 * rows[-1]) // 3 :] = False
        client.put(image, mask, instance=own["id"], base=own["version"], labels=[new_label])

    def _token_of(self, name: str) -> str:
        """The token of somebody new, who annotates."""
        base, own = self.address.split("/#token=")
        request = Request(
            f"{base}/api/users",
            json.dumps({"name": name, "role": "annotator"}).encode(),
            {"Authorization": f"Bearer {own}", "Content-Type": "application/json"},
        )
        with urlopen(request) as answer:
            return str(json.load(answer)["token"])


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

    def keep(self, label: str | None = None, state: str = "saved") -> None:
        """Gives a label, commits and waits for a word of the save state."""
        if label is not None:
            self.page.keyboard.press("t")
            self.page.keyboard.type(label)
            self.page.keyboard.press("Enter")
        self.page.keyboard.press("Enter")
        self.page.locator("[data-testid=save-state]", has_text=state).wait_for()

    def saved(self) -> None:
        """Waits until the server has everything."""
        self.page.locator("[data-testid=save-state]", has_text="saved").wait_for()

    def close_dialog(self) -> None:
        """Leaves the dialog that is open."""
        self.page.locator("dialog[open] header button").click()

    def photograph(self, step: str) -> None:
        """The window in both colour schemes: annotator-STEP.jpg and annotator-STEP-dark.jpg."""
        self.page.emulate_media(color_scheme="dark")
        self._save(f"annotator-{step}-dark.jpg")
        self.page.emulate_media(color_scheme="light")
        self._save(f"annotator-{step}.jpg")

    def _save(self, name: str) -> None:
        self.page.wait_for_timeout(500)
        _save(self.page.screenshot(), OUT / name)


def _play(person: Person, server: Server) -> None:
    """From the first image to the export."""
    person.pick("coffee.jpg")
    person.page.wait_for_timeout(1500)  # thumbnails
    person.photograph("start")
    person.page.keyboard.press("?")
    person.photograph("help")
    person.close_dialog()
    _make_objects(person)
    _lose_the_server(person, server)
    _settle(person, server)
    _hand_on(person)


def _make_objects(person: Person) -> None:
    """By a click, a box, and the brush."""
    keys = person.page.keyboard
    person.hover(330, 150)
    person.photograph("hover")
    person.click(330, 150)
    person.photograph("candidates")
    person.keep("cup and saucer")
    keys.press("r")
    person.drag((170, 15), (420, 300))
    person.photograph("box")
    person.keep("cup")
    keys.press("b")
    person.drag((412, 74), (404, 98))
    person.drag((392, 196), (380, 240))
    person.drag((352, 292), (366, 276), (386, 276), (384, 300), (364, 314), (352, 296), (370, 292))
    person.photograph("brush")
    person.keep("spoon")


def _lose_the_server(person: Person, server: Server) -> None:
    """A polygon is kept while the server is gone, and sent when it is there again."""
    keys = person.page.keyboard
    keys.press("g")
    for corner in ((3, 3), (150, 3), (112, 40), (50, 72)):
        person.page.mouse.click(*person.place(*corner))
    person.page.mouse.move(*person.place(3, 100))
    person.photograph("polygon")
    person.page.mouse.click(*person.place(3, 100))
    keys.press("Enter")
    server.kill()
    person.keep("shadow", "offline")
    person.photograph("offline")
    person.page.goto(server.start())
    person.saved()
    person.page.reload()
    person.get("ready").wait_for()
    person.saved()
    person.photograph("restart")


def _settle(person: Person, server: Server) -> None:
    """Two people change the same mask."""
    server.meanwhile("coffee.jpg", "cup", "mug")
    person.page.locator("[data-testid=instance]", has_text="cup").nth(1).locator(".pick").click()
    person.page.keyboard.press("e")
    person.drag(*HANDLE)
    person.page.keyboard.press("Enter")
    person.page.locator("[data-testid=save-state]", has_text="conflict").click()
    person.photograph("conflict")
    person.get("keep-mine").click()
    person.close_dialog()
    person.saved()
    person.page.keyboard.press("p")


def _hand_on(person: Person) -> None:
    """Submitted, suggested, reviewed, exported."""
    person.get("submit-image").click()
    person.page.locator("[data-testid=image-name]", has_text="coffee").wait_for(state="detached")
    person.get("ready").wait_for()
    person.photograph("submit")
    person.pick(f"{SUGGESTED}.jpg")
    person.get("threshold").fill("0.6")
    person.page.keyboard.press("Escape")
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
