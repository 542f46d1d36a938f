"""Photographs without labels: random crops of them, and the noise that hides their patches."""

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samkit import images
from samkit.errors import SamkitError, UsageError
from samkit.modeling import SamConfig
from samkit.training.pretraining_recipes import PretrainRecipe

AHEAD = 3
"""Steps whose crops are made ahead of time."""
TRIES = 1000
"""So many images in a row that cannot be read end the run."""
_CROP_TRIES = 10
_ASPECTS = (3 / 4, 4 / 3)
"""Range of a crop's width over its height, before it is made square."""


@dataclass(frozen=True)
class Example:
    """One image of a batch."""

    pixels: NDArray[np.uint8]
    """S x S x 3, RGB."""
    noise: NDArray[np.float32]
    """N values: the patches with the least stay visible."""


class UnlabelledImages:
    """Endless batches of crops; image k of step n depends on the seed, n and k alone.

    Every image is shown once before any is shown again. One that cannot be read is named in
    `broken`, and another one takes its place.
    """

    def __init__(self, paths: Sequence[Path], recipe: PretrainRecipe, patches: int) -> None:
        """patches: how many an image has. Raises UsageError where there is no image."""
        if not paths:
            raise UsageError("There are no images; name pictures or folders of them.")
        self.paths = list(paths)
        self.recipe = recipe
        self.patches = patches
        self.broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._orders: dict[int, NDArray[np.int64]] = {}

    def example(self, step: int, number: int) -> Example:
        """Image `number` of the batch of step `step`. Raises SamkitError where none is readable."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 0, step, number])
        place = self._place(step * recipe.batch + number)
        for _ in range(TRIES):
            pixels = self.read(self.paths[place])
            if pixels is not None:
                crop = resized_crop(pixels, recipe.img_size, recipe.crop_scale, rng)
                if recipe.mirror and rng.random() < 0.5:
                    crop = crop[:, ::-1]
                noise = rng.random(self.patches, dtype=np.float32)
                return Example(np.ascontiguousarray(crop), noise)
            place = int(rng.integers(len(self.paths)))
        raise SamkitError(
            f"{TRIES} images in a row cannot be read, the last one {self.paths[place]}; look at "
            "the images."
        )

    def read(self, path: Path) -> NDArray[np.uint8] | None:
        """An image, H x W x 3; None, and named, where it cannot be read."""
        try:
            return images.read(path)
        except SamkitError as error:
            with self._lock:
                self.broken[str(path)] = str(error)
            return None

    def batches(
        self, start: int, end: int, share: Sequence[int], workers: int = 1
    ) -> Iterator[list[Example]]:
        """The images `share` of the batches of steps start … end - 1, made in threads."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="images")
        try:
            ready: deque[list[Future[Example]]] = deque()
            for step in range(start, end + AHEAD):
                if step < end:
                    ready.append([pool.submit(self.example, step, k) for k in share])
                if step >= start + AHEAD:
                    yield [future.result() for future in ready.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _place(self, count: int) -> int:
        """Which image is the one after `count` others: each round over all in an order of its own.

        A batch may reach over the end of a round, so two orders are kept.
        """
        number, within = divmod(count, len(self.paths))
        with self._lock:
            order = self._orders.get(number)
            if order is None:
                order = np.random.default_rng([self.recipe.seed, 1, number]).permutation(
                    len(self.paths)
                )
                if len(self._orders) > 1:
                    del self._orders[min(self._orders)]
                self._orders[number] = order
        return int(order[within])


def resized_crop(
    image: NDArray[np.uint8],
    size: int,
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """A random part of an image, resized (bicubic) to size x size x 3.

    scale: range of the part's share of the area. Its width over its height lies in 3/4 … 4/3,
    log-uniform; where no such part fits after some tries, the largest one in the middle is taken.
    """
    height, width = image.shape[:2]
    for _ in range(_CROP_TRIES):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(_ASPECTS[0]), math.log(_ASPECTS[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return _resize(image[top : top + h, left : left + w], size)
    return middle(image, size, _ASPECTS)


def middle(
    image: NDArray[np.uint8], size: int, aspects: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """The largest part in the middle whose width over height lies in a range, as size x size."""
    height, width = image.shape[:2]
    w = max(1, min(width, round(height * aspects[1])))
    h = max(1, min(height, round(width / aspects[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return _resize(image[top : top + h, left : left + w], size)


def stacked(examples: Sequence[Example], sam: SamConfig, device: torch.device) -> Tensor:
    """Their pixels as B x 3 x S x S float32 on the device, normalised as the model has it."""
    pixels = torch.from_numpy(np.stack([e.pixels for e in examples])).to(device)
    mean, deviation = (
        torch.tensor(values, device=device).view(1, 3, 1, 1)
        for values in (sam.pixel_mean, sam.pixel_std)
    )
    return (pixels.permute(0, 3, 1, 2).float() - mean) / deviation


def noise_of(examples: Sequence[Example], device: torch.device) -> Tensor:
    """Their noise, B x N float32 on the device."""
    return torch.from_numpy(np.stack([e.noise for e in examples])).to(device)


def _resize(part: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    resized = Image.fromarray(part).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)
