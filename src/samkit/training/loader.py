"""Batches of crops, made in a thread beside the training."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samkit.datasets.augment import Crop, random_crop
from samkit.training.recipes import Recipe


@dataclass(frozen=True)
class Photo:
    """One labelled photograph: H x W x 3 uint8 and its SA-1B annotations."""

    source: str
    name: str
    image: np.ndarray
    annotations: list[dict[str, Any]]


class CropLoader:
    """Endless batches; batch number n depends on the seed and n alone, so that runs resume."""

    def __init__(self, photos: Sequence[Photo], recipe: Recipe, largest: int, stride: int) -> None:
        self.recipe = recipe
        self.largest = largest
        self.stride = stride
        by_source: dict[str, list[Photo]] = {}
        for photo in photos:
            by_source.setdefault(photo.source, []).append(photo)
        self.sources = list(by_source.values())
        weights = np.array([len(source) for source in self.sources]) ** recipe.source_power
        self.chances = weights / weights.sum()

    def batch(self, number: int) -> list[Crop]:
        """The crops of step `number`."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, number])
        size = int(rng.choice(recipe.crop_sizes))
        count = max(1, recipe.pixels // size**2)
        each = max(1, round(recipe.cells / (size // self.stride) ** 2 / count))
        low, high = recipe.long_side
        if size == self.largest:
            high = size
        crops: list[Crop] = []
        while len(crops) < count:
            source = self.sources[rng.choice(len(self.sources), p=self.chances)]
            photo = source[rng.integers(len(source))]
            long_side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            crop = random_crop(photo.image, photo.annotations, size, long_side, each, rng)
            if len(crop.masks):
                crops.append(crop)
        return crops

    def batches(self, start: int, end: int, ahead: int = 4) -> Iterator[list[Crop]]:
        """Batches start … end - 1 in order, made ahead of time in a thread."""
        ready: queue.Queue[list[Crop] | BaseException] = queue.Queue(ahead)
        stop = threading.Event()

        def work() -> None:
            try:
                for number in range(start, end):
                    batch = self.batch(number)
                    while not stop.is_set():
                        try:
                            ready.put(batch, timeout=0.5)
                            break
                        except queue.Full:
                            continue
                    if stop.is_set():
                        return
            except BaseException as error:
                ready.put(error)

        thread = threading.Thread(target=work, name="crops", daemon=True)
        thread.start()
        try:
            for _ in range(start, end):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
