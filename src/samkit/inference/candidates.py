"""All masks that a grid of points brings forth, before any choice among them.

The costly half of the automatic mask generator. Per crop the image is embedded once; then a few
prompts at a time go through the transformer, which is enough to predict IoU. Only prompts with a
mask above the threshold are upscaled, and of each good mask only that window of its low-res logits
is kept, in float32, outside of which nothing can be true. So the memory needed depends neither on
the size of the image nor much on the number of points.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.inference.cores import on_separate_cores
from samkit.inference.decoding import PromptDecoder, prompts_at_once, slices, upscaler_of
from samkit.inference.embeddings import ImageEmbedding, embed_batch
from samkit.inference.prompts import Prompts
from samkit.inference.settings import AutomaticMaskSettings
from samkit.inference.transforms import ResizeLongestSide, Size
from samkit.inference.upscaling import Upscaler, Window
from samkit.masks.crops import crop_boxes
from samkit.masks.nms import nms
from samkit.masks.regions import remove_small_regions
from samkit.masks.runs import window_of
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import MULTI, SINGLE

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

BAND = 0.15
"""How far the stability score of low-res logits may lie below that of full size, at most: ..."""
BAND_EDGE = 1.5
"""... or this / sqrt(cells of the mask) if larger: edges blur small masks most.

Measured on the trained golden model (12,288 masks of objects): at most 0.75 / sqrt(cells). On
seeded models, whose masks are fine noise: at most 0.11, while above full size it may lie 0.7."""


AGREEMENT = 0.6
"""IoU that the answer to a mask's point and box has with the mask at least, else it is of something
else (often of all that the box holds) and the mask stays as it was; see docs/adr/0008."""


@dataclass(frozen=True)
class CropCandidates:
    """N masks found in one crop. Points and windows count in the crop's own pixels and cells."""

    crop_box: tuple[int, int, int, int]
    """XYXY in the image."""
    upscaler: Upscaler
    points: Floats
    """N x 2 (x, y): the prompt of each mask."""
    scores: Tensor
    """N predicted IoU, float32 on the CPU."""
    stability: Tensor
    """N upper bounds, by measurement, of the stability score; float32 on the CPU."""
    cells: list[Window]
    """The window of low-res cells that each mask needs."""
    logits: list[Tensor]
    """The float32 logits of that window, on the CPU."""


@dataclass(frozen=True)
class Candidates:
    """What `SamAutomaticMaskGenerator.candidates` found; `select` chooses among it."""

    image_size: Size
    """(H, W)."""
    crops: tuple[CropCandidates, ...]
    settings: AutomaticMaskSettings
    """With which they were found; its thresholds are the lowest that can be chosen."""
    mask_threshold: float
    """Of the model's logits."""

    def __len__(self) -> int:
        return sum(len(crop.logits) for crop in self.crops)


@torch.no_grad()
def find(
    sam: Sam,
    image: NDArray[np.uint8],
    settings: AutomaticMaskSettings,
    grids: Sequence[Floats],
    progress: Progress | None = None,
) -> Iterator[CropCandidates]:
    """The candidates of the image and then of each of its crops, one crop at a time.

    image: H x W x 3 uint8. grids: for each layer of crops N x 2 points in [0, 1].
    progress: called with (points done, points in all) after every few.
    """
    height, width = image.shape[:2]
    boxes, layers = crop_boxes((height, width), settings.crop_n_layers, settings.crop_overlap_ratio)
    done, total = 0, sum(len(grids[layer]) for layer in layers)

    def advance(points: int) -> None:
        nonlocal done
        done += points
        if progress is not None:
            progress(done, total)

    for (left, top, right, bottom), layer in zip(boxes, layers, strict=True):
        (embedding,) = embed_batch(sam, [image[top:bottom, left:right]], made_by="")
        box = (left, top, right, bottom)
        yield _find_in_crop(sam, embedding, box, grids[layer], settings, advance)


def _find_in_crop(
    sam: Sam,
    embedding: ImageEmbedding,
    crop_box: tuple[int, int, int, int],
    grid: Floats,
    settings: AutomaticMaskSettings,
    advance: Callable[[int], None],
) -> CropCandidates:
    upscaler = upscaler_of(sam, embedding, "cpu")
    size = height, width = embedding.original_size
    points = grid * np.array([width, height])
    # In float64 until they are positions between 0 and 1: the last digit decides ties.
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    coords = torch.from_numpy(transform.apply_coords(points, size))
    if sam.device.type == "mps":  # which has no float64
        coords = coords.float()
    coords = coords.to(sam.device)[:, None]
    labels = torch.ones(coords.shape[:2], dtype=torch.int64, device=sam.device)
    asking = _Asking(sam, embedding, upscaler, settings)
    found = asking.answers(Prompts(coords, labels), MULTI, advance)
    numbers = found.prompts
    if settings.ask_again and numbers:
        boxes = asking.boxes(found).to(coords)
        best = nms(boxes, found.scores, settings.box_nms_thresh).tolist()
        first = found.at(best)
        asked = first.prompts
        again = asking.answers(Prompts(coords[asked], labels[asked], boxes[best]), SINGLE)
        found = asking.where_they_agree(first, again)
        numbers = found.prompts
    return CropCandidates(
        crop_box,
        upscaler,
        points[numbers],
        found.scores,
        found.stability,
        found.cells,
        found.logits,
    )


class _Found(NamedTuple):
    """The candidates of some prompts: of each its prompt's index, and as in `CropCandidates`."""

    prompts: list[int]
    scores: Tensor
    stability: Tensor
    cells: list[Window]
    logits: list[Tensor]

    def at(self, rows: Sequence[int]) -> "_Found":
        """Some of them, in this order."""
        chosen = list(rows)
        return _Found(
            [self.prompts[i] for i in chosen],
            self.scores[chosen],
            self.stability[chosen],
            [self.cells[i] for i in chosen],
            [self.logits[i] for i in chosen],
        )


def _joined(parts: Sequence[_Found]) -> _Found:
    """All of them, one part after the other."""
    return _Found(
        [prompt for part in parts for prompt in part.prompts],
        torch.cat([*(part.scores for part in parts), torch.empty(0)]),
        torch.cat([*(part.stability for part in parts), torch.empty(0)]),
        [window for part in parts for window in part.cells],
        [low for part in parts for low in part.logits],
    )


@dataclass(frozen=True)
class _Asking:
    """The model, asked about one crop."""

    sam: Sam
    embedding: ImageEmbedding
    upscaler: Upscaler
    settings: AutomaticMaskSettings

    def answers(
        self, prompts: Prompts, tokens: slice, advance: Callable[[int], None] = lambda _: None
    ) -> _Found:
        """What is worth keeping of the masks of some output tokens, a few prompts at a time."""
        sam, settings = self.sam, self.settings
        decoder = PromptDecoder(sam, self.embedding, prompts)

        def ask(rows: slice) -> _Found:
            good = _good_masks(decoder, rows, tokens, settings)
            return _worth_keeping(self.upscaler, *good, settings, sam.mask_threshold)

        step = min(settings.points_per_batch, prompts_at_once(sam))
        parts = []
        for rows, found in zip(
            slices(len(prompts), step),
            on_separate_cores(ask, slices(len(prompts), step), sam.device),
            strict=True,
        ):
            parts.append(found)
            advance(rows.stop - rows.start)
        return _joined(parts)

    def where_they_agree(self, first: _Found, again: _Found) -> _Found:
        """The second answers, whose prompts are rows of the first; where one is largely another
        mask, or takes too much of the image, the first answer stays. What has no second answer that
        is worth keeping is left out.
        """
        masks, others = self._low_res(first), self._low_res(again)
        pairs = [(masks[row], other) for row, other in zip(again.prompts, others, strict=True)]
        most = self.settings.max_mask_share * math.prod(self.upscaler.valid_size)
        same = [
            bool((a & b).sum() >= AGREEMENT * (a | b).sum() and b.sum() <= most) for a, b in pairs
        ]
        second = again.at([i for i, agrees in enumerate(same) if agrees])
        second = second._replace(prompts=[first.prompts[row] for row in second.prompts])
        rest = [row for row, agrees in zip(again.prompts, same, strict=True) if not agrees]
        return _joined([second, first.at(rest)])

    def _low_res(self, found: _Found) -> list[Tensor]:
        """Each mask on the whole low-res square: n x n bool."""
        masks = []
        for low, (top, bottom, left, right) in zip(found.logits, found.cells, strict=True):
            mask = torch.zeros(self.upscaler.low_size, self.upscaler.low_size, dtype=torch.bool)
            mask[top:bottom, left:right] = low > self.sam.mask_threshold
            masks.append(mask)
        return masks

    def boxes(self, found: _Found) -> Tensor:
        """XYXY of the first and last pixels of each candidate, in pixels of the model's input.

        Of low-res masks, whose specks count as little as those of the masks that are kept.
        """
        height, width = self.embedding.original_size
        rows, cols = self.upscaler.valid_size
        least = self.settings.min_mask_region_area * rows * cols / (height * width)
        boxes = []
        for low, cells in zip(found.logits, found.cells, strict=True):
            mask = (low > self.sam.mask_threshold).numpy()
            mask, _ = remove_small_regions(mask, least, "islands")
            window = window_of(mask if mask.any() else ~mask)
            top, left = cells.top + window.top, cells.left + window.left
            boxes.append((left, top, cells.left + window.right, cells.top + window.bottom))
        side = self.sam.prompt_encoder.input_image_size[0] / self.upscaler.low_size
        return torch.tensor(boxes) * side - torch.tensor([0.0, 0.0, 1.0, 1.0])


def _good_masks(
    decoder: PromptDecoder, rows: slice, tokens: slice, settings: AutomaticMaskSettings
) -> tuple[list[int], Tensor, Tensor]:
    """Masks with a good predicted IoU: indices of their prompts, IoU (CPU), low-res P x n x n."""
    state = decoder.states(rows)
    predicted = state.iou[:, tokens].float().cpu()
    good = torch.ones_like(predicted).bool()
    if settings.pred_iou_thresh > 0:  # officially the filter is otherwise off
        good = predicted > settings.pred_iou_thresh
    prompts = good.any(1).nonzero()[:, 0]
    low = decoder.masks(state, tokens, prompts.to(state.iou.device))
    wanted = good[prompts]
    of_prompt = (prompts[:, None] + rows.start).expand_as(wanted)[wanted].tolist()
    return of_prompt, predicted[good], low[wanted.to(low.device)].float()


def _worth_keeping(
    upscaler: Upscaler,
    prompts: list[int],
    predicted: Tensor,
    low: Tensor,
    settings: AutomaticMaskSettings,
    threshold: float,
) -> _Found:
    """Those masks that may be stable enough, each with its window of logits only."""
    offset = settings.stability_score_offset
    bound = _stability_bound(upscaler, low, threshold, offset)
    windows = upscaler.windows(low, threshold - offset)
    stable = (bound >= settings.stability_score_thresh).tolist()
    kept = [i for i, cells in enumerate(windows) if stable[i] and not cells.empty]
    low = low.cpu()
    return _Found(
        [prompts[i] for i in kept],
        predicted[kept],
        bound[kept],
        [windows[i] for i in kept],
        [
            low[i, top:bottom, left:right].clone()
            for i in kept
            for top, bottom, left, right in [windows[i]]
        ],
    )


def _stability_bound(upscaler: Upscaler, low: Tensor, threshold: float, offset: float) -> Tensor:
    """The stability score of low-res logits plus all that full size may add to it; P on the CPU."""
    inner, outer = (upscaler.shares(low > threshold + by) for by in (offset, -offset))
    rows, cols = upscaler.valid_size
    one_cell = 1 / (rows * cols)
    band = (BAND_EDGE * (outer / one_cell).clamp(min=1).rsqrt()).clamp(min=BAND)
    return (inner / outer.clamp(min=1e-6 * one_cell) + band).cpu()
