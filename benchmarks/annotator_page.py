"""How quickly the annotator's page answers in headless Chromium.

    python benchmarks/annotator_page.py [--model NAME|PATH | --vit-b-decoder] [--only PART ...]
        [--masks N]

Hover: milliseconds from the pointer event to the painted frame, over a photograph. Ready: from the
opening of an image whose embedding is cached until prompts are answered. Brush: frames a second
while strokes go over an image of 12 megapixels with N masks (300). View: frames a second while the
wheel zooms into that image and out again, and while it is dragged.

--vit-b-decoder takes a seeded model without any training, whose decoder has the sizes of ViT-B's
(256 wide, 64 x 64 cells) and whose encoder is tiny: for times, not for masks.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import seeded
import skimage.data
import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from samkit import checkpoints
from samkit.masks import rle
from samkit.modeling import VARIANTS, Sam, ViTConfig

LARGE = (3000, 4000)
UNWATCHED = 0.25
"""Seconds after a move in which the page is not asked: who always asks takes a core from it."""


def write_photos(folder: Path) -> None:
    """A photograph, and a large one."""
    photo = Image.fromarray(skimage.data.astronaut())
    photo.save(folder / "0-photograph.png")
    photo.resize(LARGE[::-1], Image.Resampling.BICUBIC).save(folder / "1-large.jpg", quality=90)


def write_vit_b_decoder(path: Path) -> None:
    """A seeded model with the decoder of ViT-B; its masks are of whole cells, as smooth ones are.

    Pixels that differ from their neighbours at random would measure the drawing of outlines.
    """
    encoder = ViTConfig(embed_dim=16, depth=1, num_heads=1, global_attn_indexes=(), window_size=8)
    sam = Sam(replace(VARIANTS["vit_b"], image_encoder=encoder, variant="")).eval()
    seeded.fill(sam)
    with torch.no_grad():
        for layer in (sam.mask_decoder.output_upscaling[0], sam.mask_decoder.output_upscaling[3]):
            weight = layer.get_parameter("weight")
            weight.copy_(weight.mean(dim=(2, 3), keepdim=True).expand_as(weight))
    checkpoints.save(sam, path, provenance={"data": "none: seeded numbers"})


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


def add_masks(address: str, image: str, count: int) -> None:
    """Discs all over the image."""
    rng = np.random.default_rng(0)
    height, width = LARGE
    y, x = np.mgrid[:height, :width]
    operations = []
    for _ in range(count):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(40, 160)
        mask = (y - cy) ** 2 + (x - cx) ** 2 <= r * r
        value = {"rle": rle.encode(mask[None])[0], "labels": [], "stage": "manual"}
        operation = {"op": uuid.uuid4().hex, "kind": "put", "instance": uuid.uuid4().hex, "base": 0}
        operations.append({**operation, "value": value})
    for start in range(0, count, 100):
        sent = {"client": "benchmark", "operations": operations[start : start + 100]}
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
        time.sleep(UNWATCHED)
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


def line(name: str, values: list[float], unit: str, digits: int = 1) -> str:
    """Median and 95th percentile."""
    median, high = (f"{value:.{digits}f} {unit}" for value in np.percentile(values, [50, 95]))
    return f"{name}: median {median}, p95 {high} ({len(values)})"


PARTS = ("hover", "ready", "brush", "view")


def main() -> None:
    """Starts a server, opens it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--vit-b-decoder", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--strokes", type=int, default=6)
    parser.add_argument("--masks", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        write_photos(photos)
        if arguments.vit_b_decoder:
            arguments.model = f"{folder}/vit_b_decoder.safetensors"
            write_vit_b_decoder(Path(arguments.model))
        command = [sys.executable, "-m", "samkit", "annotate", str(photos), "--no-open"]
        command += ["--project", f"{folder}/p", "--model", arguments.model, "--precompute"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            measure(server.stdout.readline().strip(), arguments)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def measure(address: str, arguments: argparse.Namespace) -> None:
    """All figures of one server."""
    while not all(image["prepared"] for image in ask(address, "/api/images")["images"]):
        time.sleep(0.2)
    print(f"model: {Path(arguments.model).stem}")
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        parts = {
            "hover": measure_hover,
            "ready": measure_ready,
            "brush": measure_brush,
            "view": measure_view,
        }
        for name in arguments.only:
            page = browser.new_page(viewport={"width": 1360, "height": 820})
            page.set_default_timeout(300_000)
            parts[name](page, address, arguments)
            page.close()
        browser.close()


def open_page(page: Page, address: str) -> float:
    """Seconds from the address to the page that answers prompts."""
    start = time.perf_counter()
    page.goto(address)
    page.get_by_test_id("ready").wait_for()
    return time.perf_counter() - start


def measure_hover(page: Page, address: str, arguments: argparse.Namespace) -> None:
    """Cursor to mask."""
    open_page(page, address)
    print(f"threads of the decoder: {page.evaluate('window.__samkit.threads')}")
    times, decodes = hover(page, arguments.moves)
    print(line("hover to painted frame", times, "ms"))
    print(line("decoder alone", decodes, "ms"))


def measure_ready(page: Page, address: str, arguments: argparse.Namespace) -> None:
    """The first page of a browser, then images in it and the page once more."""
    print(f"ready, first page of a browser, photograph: {open_page(page, address):.2f} s")
    opened, again = [], []
    for _ in range(5):
        opened.append(open_image(page, "1-large.jpg"))
        again.append(reload(page))
        open_image(page, "0-photograph.png", "previous-image")
    print(line("ready after opening 12 megapixels in the page", opened, "s", 2))
    print(line("ready after a reload, 12 megapixels", again, "s", 2))
    print(line("ready after a reload, photograph", [reload(page) for _ in range(5)], "s", 2))


def reload(page: Page) -> float:
    """Seconds until the page answers prompts again."""
    start = time.perf_counter()
    page.reload()
    page.get_by_test_id("ready").wait_for()
    return time.perf_counter() - start


def open_large(page: Page, address: str, masks: int) -> None:
    """The image of 12 megapixels with so many masks."""
    images = ask(address, "/api/images")["images"]
    large = next(image["id"] for image in images if image["name"] == "1-large.jpg")
    there = len(ask(address, f"/api/images/{large}")["instances"])
    add_masks(address, large, masks - there)
    open_page(page, address)
    print(f"opened with {masks} masks in {open_image(page, '1-large.jpg'):.2f} s")


def measure_brush(page: Page, address: str, arguments: argparse.Namespace) -> None:
    """Frames while strokes go on."""
    open_large(page, address, arguments.masks)
    frames = brush(page, arguments.strokes)
    print(line("frames of the brush at 12 megapixels", frames, "ms"))
    print(f"brush: {1000 / np.median(frames):.0f} frames/s, slowest {max(frames):.0f} ms")


FRAMES = """() => {
  window.__times = [];
  const next = (time) => {
    window.__times.push(time);
    window.__next = requestAnimationFrame(next);
  };
  window.__next = requestAnimationFrame(next);
}"""
STOP = "() => { cancelAnimationFrame(window.__next); return window.__times; }"


def measure_view(page: Page, address: str, arguments: argparse.Namespace) -> None:
    """Frames while the view changes."""
    open_large(page, address, arguments.masks)
    page.mouse.move(*place(page, 1500, 1500))
    page.evaluate(FRAMES)
    for step in [-120] * 15 + [120] * 15:
        page.mouse.wheel(0, step)
        time.sleep(0.03)
    zoomed = np.diff(page.evaluate(STOP))
    for _ in range(8):
        page.mouse.wheel(0, -120)
    page.evaluate(FRAMES)
    page.keyboard.down("Space")
    page.mouse.down()
    x, y = place(page, 1500, 1500)
    for turn in np.linspace(0, 6 * np.pi, 120):
        page.mouse.move(x + 150 * np.sin(turn), y + 100 * np.cos(turn) - 100)
        time.sleep(0.01)
    page.mouse.up()
    page.keyboard.up("Space")
    dragged = np.diff(page.evaluate(STOP))
    print(line("frames while zooming at 12 megapixels", list(zoomed), "ms"))
    print(line("frames while dragging at 12 megapixels", list(dragged), "ms"))


if __name__ == "__main__":
    main()
