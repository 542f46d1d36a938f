"""Batches of crops, made in threads beside the training."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from samkit.datasets.augment import Crop, large_scale_jitter, random_crop
from samkit.datasets.copy_paste import copy_paste
from samkit.errors import SamkitError
from samkit.training.photographs import Photo, Photographs
from samkit.training.recipes import Recipe, View

TRIES = 1000
"""So many draws in a row without a usable mask end the run."""
AHEAD = 4
"""Steps whose crops are made ahead of time."""


class CropLoader:
    """Endless batches; image k of step n depends on the seed, n and k alone, so that runs resume
    and many processes train as one would."""

    def __init__(
        self, photographs: Photographs, recipe: Recipe, input_size: int, *, whole_input: bool
    ) -> None:
        """input_size: side of the model's square input in pixels. whole_input: whether crops fill
        it (a ViT's must), whatever side the recipe's views say."""
        self.photographs = photographs
        self.recipe = recipe
        self.input_size = input_size
        self.whole_input = whole_input
        self._sources = list(photographs.sources.values())
        weights = np.array(photographs.sizes(recipe.source_size)) ** recipe.source_power
        self.chances = weights / weights.sum()
        """Of each source to be drawn from."""

    def crop(self, step: int, number: int) -> Crop:
        """Image `number` of the batch of step `step`; it shows at least one mask."""
        rng = np.random.default_rng([self.recipe.seed, step, number])
        view = self.recipe.views[number % len(self.recipe.views)]
        for _ in range(TRIES):
            photo = self._draw(rng)
            crop = None if photo is None else self._show(photo, view, rng)
            if crop is None or not len(crop.masks):
                continue
            if rng.random() < self.recipe.copy_paste and (donor := self._draw(rng)) is not None:
                crop = copy_paste(crop, donor.image, donor.annotations, rng, view.masks)
            return crop
        raise SamkitError(
            f"{TRIES} images in a row show no mask that can be learned from; masks need at least "
            "64 pixels at the model's scale and at most 90% of the image."
        )

    def batches(
        self, start: int, end: int, share: Sequence[int], workers: int = 1
    ) -> Iterator[list[Crop]]:
        """The images `share` of the batches of steps start … end - 1, in order."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="crops")
        try:
            ready: deque[list[Future[Crop]]] = deque()
            for step in range(start, end + AHEAD):
                if step < end:
                    ready.append([pool.submit(self.crop, step, number) for number in share])
                if step >= start + AHEAD:
                    yield [future.result() for future in ready.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _draw(self, rng: np.random.Generator) -> Photo | None:
        source = self._sources[rng.choice(len(self._sources), p=self.chances)]
        return self.photographs.read(source[rng.integers(len(source))])

    def _show(self, photo: Photo, view: View, rng: np.random.Generator) -> Crop:
        recipe, full = self.recipe, self.input_size
        options = {"mirror": recipe.mirror, "vary_colours": recipe.vary_colours}
        if view.kind == "jitter":
            return large_scale_jitter(
                photo.image,
                photo.annotations,
                full,
                rng,
                scale=recipe.jitter_scale,
                most_masks=view.masks,
                **options,
            )
        if view.kind == "whole":
            size, scale = full, rng.uniform(*recipe.whole_scale)
        else:
            size = full if self.whole_input else round(full * view.side)
            scale = np.exp(rng.uniform(*np.log(recipe.crop_scale)))
        return random_crop(
            photo.image, photo.annotations, size, float(scale * full), view.masks, rng, **options
        )
