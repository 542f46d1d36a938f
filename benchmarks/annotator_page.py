"""How quickly the annotator's page answers in headless Chromium.

    python benchmarks/annotator_page.py [--model vit_b]

Hover: milliseconds from the pointer event to the painted frame, over a photograph. Ready: from the
opening of an image whose embedding is cached until prompts are answered. Brush: frames a second
while strokes go over an image of 12 megapixels with 300 masks.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from samkit.masks import rle

LARGE = (3000, 4000)
MASKS = 300


def write_photos(folder: Path) -> None:
    """A photograph, and a large one."""
    photo = Image.fromarray(skimage.data.astronaut())
    photo.save(folder / "0-photograph.png")
    photo.resize(LARGE[::-1], Image.Resampling.BICUBIC).save(folder / "1-large.jpg", quality=90)


def ask(address: str, path: str, body: Any = None) -> Any:
    """The server's answer."""
    base, token = address.split("#token=")
    request = urllib.request.Request(
        base.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def add_masks(address: str, image: str) -> None:
    """Discs all over the image."""
    rng = np.random.default_rng(0)
    height, width = LARGE
    y, x = np.mgrid[:height, :width]
    operations = []
    for _ in range(MASKS):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(40, 160)
        mask = (y - cy) ** 2 + (x - cx) ** 2 <= r * r
        value = {"rle": rle.encode(mask[None])[0], "labels": [], "stage": "manual"}
        operation = {"op": uuid.uuid4().hex, "kind": "put", "instance": uuid.uuid4().hex, "base": 0}
        operations.append({**operation, "value": value})
    sent = {"client": "benchmark", "operations": operations}
    ask(address, f"/api/images/{image}/operations", sent)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the image is in the window."""
    at = page.evaluate("([x, y]) => window.__samkit.toWindow(x, y)", [x, y])
    return at["x"], at["y"]


def until(page: Page, condition: str, value: Any = None) -> None:
    """Waits for a function of a value; the page's policy forbids `wait_for_function`."""
    while not page.evaluate(condition, value):
        time.sleep(0.01)


def hover(page: Page, moves: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the hover, and of the decoder in it."""
    rng = np.random.default_rng(1)
    times, decodes = [], []
    for _ in range(moves):
        before = page.evaluate("window.__samkit.hovers")
        page.mouse.move(*place(page, *rng.uniform(20, 490, 2)))
        until(page, "n => window.__samkit.hovers > n", before)
        times.append(page.evaluate("window.__samkit.lastHoverMs"))
        decodes.append(page.evaluate("window.__samkit.lastDecodeMs"))
    return times[3:], decodes[3:]


def brush(page: Page, strokes: int) -> list[float]:
    """Milliseconds of the frames while strokes went on."""
    rng = np.random.default_rng(2)
    page.keyboard.press("b")
    frames: list[float] = []
    for _ in range(strokes):
        page.mouse.move(*place(page, *rng.uniform(300, 2700, 2)))
        page.mouse.down()
        for _ in range(4):
            page.mouse.move(*place(page, *rng.uniform(300, 2700, 2)), steps=25)
        page.mouse.up()
        frames += page.evaluate("window.__samkit.frames")
    return frames


def open_image(page: Page, name: str, button: str = "next-image") -> float:
    """Seconds until an image that a button leads to is ready."""
    start = time.perf_counter()
    page.get_by_test_id(button).click()
    until(page, "n => document.querySelector('[data-testid=image-name]').textContent === n", name)
    page.get_by_test_id("ready").wait_for()
    return time.perf_counter() - start


def line(name: str, values: list[float], unit: str) -> str:
    """Median and 95th percentile."""
    median, high = np.percentile(values, [50, 95])
    return f"{name}: median {median:.1f} {unit}, p95 {high:.1f} {unit} ({len(values)})"


def main() -> None:
    """Starts a server, opens it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--strokes", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        write_photos(photos)
        command = [sys.executable, "-m", "samkit", "annotate", str(photos), "--no-open"]
        command += ["--project", f"{folder}/p", "--model", arguments.model]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            measure(server.stdout.readline().strip(), arguments)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def measure(address: str, arguments: argparse.Namespace) -> None:
    """All figures of one server."""
    images = ask(address, "/api/images")["images"]
    large = next(i["id"] for i in images if i["name"] == "1-large.jpg")
    add_masks(address, large)
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1360, "height": 820})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.get_by_test_id("ready").wait_for()
        print(f"threads: {page.evaluate('window.__samkit.threads')}")
        times, decodes = hover(page, arguments.moves)
        print(line("hover to painted frame", times, "ms"))
        print(line("decoder alone", decodes, "ms"))
        open_image(page, "1-large.jpg")
        frames = brush(page, arguments.strokes)
        print(line("frames of the brush at 12 megapixels", frames, "ms"))
        print(f"brush: {1000 / np.median(frames):.0f} frames/s, slowest {max(frames):.0f} ms")
        start = time.perf_counter()
        page.reload()
        page.get_by_test_id("ready").wait_for()
        print(f"ready after a reload, 12 megapixels: {time.perf_counter() - start:.2f} s")
        open_image(page, "0-photograph.png", "previous-image")
        start = time.perf_counter()
        page.reload()
        page.get_by_test_id("ready").wait_for()
        print(f"ready after a reload, photograph: {time.perf_counter() - start:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
