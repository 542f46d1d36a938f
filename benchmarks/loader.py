"""Training samples a second on one core: decoding, crops of stored images, synthetic scenes.

    python benchmarks/loader.py DATASET [--seconds 5] [--images 100]

DATASET is anything that `samkit train` reads. Seconds are processor time of this process, so that
other work on the machine counts less, but it still slows caches and hyper-threads.
"""

import argparse
import itertools
import time
from collections.abc import Callable

import cv2
import numpy as np
from side_by_side import machine

from samkit.datasets.augment import large_scale_jitter, random_crop
from samkit.datasets.copy_paste import copy_paste
from samkit.datasets.dead_leaves import DeadLeaves
from samkit.datasets.opening import open_dataset


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seconds", type=float, default=5.0, help="processor time of each row")
    parser.add_argument("--images", type=int, default=100, help="so many, spread over the dataset")
    told = parser.parse_args()
    cv2.setNumThreads(1)
    reader = open_dataset(told.dataset)
    names = reader.names[:: max(1, len(reader) // told.images)][: told.images]
    pairs = [reader[name] for name in names]
    photos = [(pair.image(), pair.records) for pair in pairs]
    scenes, small = DeadLeaves(100_000), DeadLeaves(100_000, 256)

    def crop(k: int, size: int, low: float, high: float, most: int) -> None:
        rng = np.random.default_rng(k)
        image, records = photos[k % len(photos)]
        random_crop(image, records, size, float(rng.uniform(low, high)), most, rng)

    def jitter(k: int, size: int, most: int) -> None:
        image, records = photos[k % len(photos)]
        large_scale_jitter(image, records, size, np.random.default_rng(k), most_masks=most)

    def paste(k: int) -> None:
        rng = np.random.default_rng(k)
        image, records = photos[k % len(photos)]
        made = random_crop(image, records, 256, float(rng.uniform(256, 512)), 8, rng)
        donor, objects = photos[int(rng.integers(len(photos)))]
        copy_paste(made, donor, objects, rng, 8)

    tasks: dict[str, Callable[[int], object]] = {
        "read a pair: JPEG and JSON": lambda k: reader[names[k % len(names)]].image(),
        "crop 256, 8 masks": lambda k: crop(k, 256, 256, 512, 8),
        "crop 512, whole image, 8 masks": lambda k: crop(k, 512, 512, 512, 8),
        "crop 1024, whole image, 64 masks": lambda k: crop(k, 1024, 1024, 1024, 64),
        "large-scale jitter 1024, 64 masks": lambda k: jitter(k, 1024, 64),
        "crop 256, 8 masks, and copy-paste": paste,
        "dead leaves 512, all masks": lambda k: scenes[k],
        "dead leaves 256, all masks": lambda k: small[k],
    }
    print(f"{len(photos)} images of {told.dataset}, {machine()}\n")
    print("| sample | per second | milliseconds |\n|---|---|---|")
    for name, task in tasks.items():
        rate = _rate(task, told.seconds)
        print(f"| {name} | {rate:.0f} | {1000 / rate:.1f} |", flush=True)


def _rate(task: Callable[[int], object], seconds: float) -> float:
    task(0)
    start = time.process_time()
    for done in itertools.count(1):
        task(done)
        spent = time.process_time() - start
        if spent >= seconds:
            return done / spent
    raise AssertionError


if __name__ == "__main__":
    main()
