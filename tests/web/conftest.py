"""The annotator as a person has it: a real server, a real browser; skipped where one is missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from pycocotools import mask as coco

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "src" / "samkit" / "annotate" / "page" / "index.html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_SECONDS = 120  # the first start of a project makes the decoder
PATIENCE = 120_000  # milliseconds; a busy machine is no failure

SAVE_STATE, IMAGE_NAME = "[data-testid=save-state]", "[data-testid=image-name]"


class Annotator:
    """`samkit annotate` in a process of its own."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder, self.photos = folder, photos
        self.port = 0
        self.address = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it, on the same port as before, and returns the address it prints."""
        command = [sys.executable, "-m", "samkit", "annotate", str(self.photos)]
        command += ["--project", str(self.folder), "--port", str(self.port), "--no-open"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), "the server printed no address"
        self.port = int(self.address.split(":")[2].split("/")[0])
        return self.address

    def kill(self) -> None:
        """kill -9, the model's process included."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, path: str, body: Any = None) -> Any:
        """What the server answers to a GET, or to a POST where there is a body."""
        base, token = self.address.split("#token=")
        request = urllib.request.Request(
            base.rstrip("/") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data = answer.read()
        return json.loads(data) if "json" in answer.headers["content-type"] else data

    def image_id(self, name: str) -> str:
        """The id of a photograph."""
        return next(i["id"] for i in self.ask("/api/images")["images"] if i["name"] == name)

    def address_of(self, name: str, role: str) -> str:
        """The address of a new person."""
        token = self.ask("/api/users", {"name": name, "role": role})["token"]
        return self.address.split("#")[0] + f"#token={token}"

    def state(self, name: str) -> str:
        """The state of a photograph."""
        return next(i["state"] for i in self.ask("/api/images")["images"] if i["name"] == name)

    def put(self, name: str, masks: list[dict[str, Any]]) -> None:
        """Masks from elsewhere: of each the rectangle `box` (x0, y0, x1, y1) and other fields."""
        image = self.ask(f"/api/images/{self.image_id(name)}")
        operations = []
        for i, fields in enumerate(masks):
            x0, y0, x1, y1 = fields.pop("box")
            mask = np.zeros((image["height"], image["width"]), np.uint8, order="F")
            mask[y0:y1, x0:x1] = 1
            rle = {"size": list(mask.shape), "counts": coco.encode(mask)["counts"].decode()}
            own = {"op": f"{image['id']}-{i}", "instance": f"given-{i}", "kind": "put", "base": 0}
            operations.append({**own, "value": {"rle": rle, **fields}})
        sent = {"client": "tests", "operations": operations}
        self.ask(f"/api/images/{image['id']}/operations", sent)

    def instances(self, name: str) -> list[dict[str, Any]]:
        """The masks of a photograph that the server has."""
        return self.ask(f"/api/images/{self.image_id(name)}")["instances"]

    def wait_for(self, job: str) -> dict[str, Any]:
        """The result of a job."""
        for _ in range(600):
            state = self.ask(f"/api/jobs/{job}")
            if state["state"] not in ("waiting", "running", "queued"):
                return state
            time.sleep(0.1)
        raise AssertionError("the job did not end")


class Person:
    """What a person does in the page; places are in pixels of the image."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def get(self, testid: str) -> Any:
        """An element by its data-testid."""
        return self.page.get_by_test_id(testid)

    def open(self, address: str) -> None:
        """Opens an address and waits until prompts are answered."""
        self.page.goto(address)
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
        """Enter, and then the list has so many masks."""
        self.key("Enter")
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

    def pick(self, name: str) -> None:
        """Opens an image from the strip below."""
        self.page.get_by_label(f"{name}, ").click()
        self.until(f"n => document.querySelector('{IMAGE_NAME}').textContent === n", name)
        self.get("ready").wait_for()

    def go_to(self, name: str) -> None:
        """Goes through the images until one is open."""
        for _ in range(20):
            if self.get("image-name").text_content() == name:
                break
            now = self.get("image-name").text_content()
            self.get("next-image").click()
            self.until(f"n => document.querySelector('{IMAGE_NAME}').textContent !== n", now)
        self.get("ready").wait_for()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photographs: four, and cuts of them."""
    folder = tmp_path_factory.mktemp("photos")
    names = ("astronaut", "chelsea", "coffee", "rocket")
    for i, name in enumerate(names):
        pixels = np.asarray(getattr(skimage.data, name)())
        Image.fromarray(pixels).save(folder / f"{i}-{name}.png")
        for k in range(2 if i < 2 else 1):
            Image.fromarray(pixels[20 + 9 * k :, 30:]).save(folder / f"{i}-{name}-{k}.png")
    return folder


@pytest.fixture(scope="module")
def annotator(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Annotator]:
    """A server that runs; skipped by name where the page was not built."""
    for package in ("fastapi", "sqlalchemy", "onnx"):
        pytest.importorskip(package)
    if not PAGE.is_file():
        pytest.skip("needs the annotator's page: npm ci and npm run build in web/")
    server = Annotator(tmp_path_factory.mktemp("project") / "my.samkit", photos)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; skipped by name where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def people(browser: Any) -> Iterator[Callable[[str], Person]]:
    """Opens an address as somebody with a fresh browser profile."""
    met: list[Person] = []

    def meet(address: str) -> Person:
        context = browser.new_context(viewport={"width": 1360, "height": 820})
        met.append(Person(context.new_page()))
        met[-1].open(address)
        return met[-1]

    yield meet
    for somebody in met:
        assert somebody.errors == []
        somebody.page.context.close()


@pytest.fixture
def person(browser: Any) -> Iterator[Person]:
    """Somebody with a fresh browser profile."""
    context = browser.new_context(viewport={"width": 1360, "height": 820})
    somebody = Person(context.new_page())
    yield somebody
    assert somebody.errors == []
    context.close()
