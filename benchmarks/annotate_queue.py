"""The annotator's queue with 10,000 images: list, next, save, and the server's memory.

    python benchmarks/annotate_queue.py [--images 10000] [--requests 300]

A server without a model runs in a process of its own; images are PNGs of 16 x 16 pixels, half of
them done, every tenth with a mask. Times are those of a client on the same machine, over HTTP, and
95 of 100 requests are quicker. Bars: list of 100 under 200 ms, next under 300 ms, resident memory
under 500 MB. Exit code 1 where one is missed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from sqlalchemy import update

from samkit.annotate.client import Client
from samkit.annotate.indexing import index
from samkit.annotate.project import open_project
from samkit.annotate.tables import Image

BARS = {"list of 100": 200.0, "next": 300.0}
"""Milliseconds, p95."""
MEMORY = 500.0
"""Megabytes."""

_SERVER = """
import sys
from pathlib import Path
from samkit.annotate.serving import Job, serve
serve(
    Job(photos=[Path(sys.argv[1])], folder=Path(sys.argv[2])),
    lambda address: print(address, flush=True),
)
"""


def main() -> int:
    """Runs it; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=300)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        photos, folder = Path(place, "photos"), Path(place, "p")
        _make_photographs(photos, told.images)
        started = time.perf_counter()
        with open_project(folder) as project:
            index(project.database, [photos])
            with project.database.write() as session:
                half = Image.position < told.images // 2
                session.execute(update(Image).where(half).values(state="submitted"))
        print(f"indexing {told.images:,} new files: {time.perf_counter() - started:.1f} s")
        return _measure(photos, folder, told.requests)


def _measure(photos: Path, folder: Path, requests: int) -> int:
    started = time.perf_counter()
    words = [sys.executable, "-c", _SERVER, str(photos), str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            client = Client(process.stdout.readline().strip())
            print(f"start with all files known: {time.perf_counter() - started:.1f} s")
            images = list(client.images())
            chance = np.random.default_rng(0)
            mask = np.zeros((16, 16), bool)
            mask[2:9, 3:11] = True
            for image in images[::10]:
                client.put(image["id"], mask)

            def list_some() -> None:
                after = images[int(chance.integers(len(images)))]["id"]
                client.list_images(after=after, limit=100)

            results = {
                "list of 100": _p95(list_some, requests),
                "next": _p95(client.next, requests),
                "save of a mask": _p95(
                    lambda: client.put(images[int(chance.integers(len(images)))]["id"], mask),
                    requests,
                ),
                "project with counts": _p95(client.project, requests),
            }
            memory = _resident(process.pid)
        finally:
            process.terminate()
    missed = memory > MEMORY
    for name, milliseconds in results.items():
        bar = BARS.get(name)
        missed |= bar is not None and milliseconds > bar
        print(f"{name}: p95 {milliseconds:.1f} ms" + (f" (bar {bar:.0f})" if bar else ""))
    print(f"resident memory: {memory:.0f} MB (bar {MEMORY:.0f})")
    return int(missed)


def _make_photographs(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{number:05}.png")


def _p95(work: Callable[[], object], count: int) -> float:
    """Milliseconds in which 95 of 100 calls are done."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.percentile(times, 95))


def _resident(pid: int) -> float:
    """Largest resident memory of a process so far, in MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("The memory of a process can be measured on Linux only.")


if __name__ == "__main__":
    sys.exit(main())
