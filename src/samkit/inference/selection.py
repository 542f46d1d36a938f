"""The choice among candidates: exact scores and boxes, the filters, NMS, clean-up.

The cheap half of the automatic mask generator, without the model. Stability, area and box are those
of the mask at full size, which is made within the candidate's window, measured and forgotten; only
masks that nothing suppressed are made again to be kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.inference.candidates import CropCandidates
from samkit.inference.cores import on_separate_cores
from samkit.inference.settings import AutomaticMaskSettings
from samkit.inference.transforms import Size
from samkit.inference.upscaling import Upscaler, Window
from samkit.masks.boxes import box_area, near_crop_edge, uncrop_boxes
from samkit.masks.nms import nms
from samkit.masks.regions import remove_small_regions
from samkit.masks.runs import window_of

SAMPLED_BAND = 0.02
"""How far the stability score of a lattice may lie below that of all pixels, at most: ..."""
SAMPLED_BAND_EDGE = 2.0
"""... or this / sqrt(pixels of the lattice in the mask) if larger.

Measured on 4,926 masks of the default model and of seeded ViT-B, 600 x 400 to 4000 x 3000 pixels:
at most 0.67 / sqrt(pixels), and 0.007 where the mask has more than 2,000 of them."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Chosen:
    """One chosen mask in the image's pixels; not yet drawn."""

    crop: CropCandidates
    index: int
    """Which candidate of the crop."""
    score: float
    stability: float
    area: int
    box: Box
    """XYXY of the first and last true pixels."""


@dataclass(frozen=True)
class Drawn:
    """A chosen mask with its pixels: all that is true lies within `pixels`."""

    chosen: Chosen
    pixels: NDArray[np.bool_]
    offset: tuple[int, int]
    """(row, column) of the first of `pixels` in the image."""


def choose(
    crops: Iterable[CropCandidates],
    image_size: Size,
    settings: AutomaticMaskSettings,
    mask_threshold: float,
) -> list[Chosen]:
    """The masks that pass all filters and NMS, in the official order.

    Within a crop the better predicted IoU wins, between crops the smaller crop (SAM, appendix B).
    """
    chosen: list[Chosen] = []
    for crop in crops:
        chosen += _choose_in_crop(crop, image_size, settings, mask_threshold)
    if settings.crop_n_layers == 0 or not chosen:
        return chosen
    scores = 1 / box_area(torch.tensor([one.crop.crop_box for one in chosen])).float()
    kept = nms(torch.tensor([one.box for one in chosen]), scores, settings.crop_nms_thresh)
    return [chosen[i] for i in kept.tolist()]


def _choose_in_crop(
    crop: CropCandidates,
    image_size: Size,
    settings: AutomaticMaskSettings,
    mask_threshold: float,
) -> Iterator[Chosen]:
    passing = crop.stability >= settings.stability_score_thresh
    if settings.pred_iou_thresh > 0:
        passing &= crop.scores > settings.pred_iou_thresh
    indices = passing.nonzero()[:, 0]
    if not len(indices):
        return
    offset, least = settings.stability_score_offset, settings.stability_score_thresh

    def measure(i: int) -> tuple[int, ...] | None:
        what = crop.upscaler, crop.logits[i], crop.cells[i], mask_threshold, offset
        return _measure(*what) if _sampled_stability(*what) >= least else None

    results = list(on_separate_cores(measure, indices.tolist()))
    indices = indices[[result is not None for result in results]]
    measured = torch.tensor([result for result in results if result is not None]).view(-1, 7)
    inner, outer, areas, boxes = measured[:, 0], measured[:, 1], measured[:, 2], measured[:, 3:]
    stability = inner / outer.clamp(min=1)
    height, width = image_size
    good = (areas > 0) & (areas <= settings.max_mask_share * height * width)
    good &= ~near_crop_edge(boxes, crop.crop_box, (0, 0, width, height))
    if settings.stability_score_thresh > 0:
        good &= stability >= settings.stability_score_thresh
    indices, stability, areas, boxes = indices[good], stability[good], areas[good], boxes[good]
    scores = crop.scores[indices]
    in_image = uncrop_boxes(boxes, crop.crop_box)
    for i in nms(boxes, scores, settings.box_nms_thresh).tolist():
        left, top, right, bottom = in_image[i].tolist()
        yield Chosen(
            crop,
            int(indices[i]),
            scores[i].item(),
            stability[i].item(),
            int(areas[i]),
            (left, top, right, bottom),
        )


def _sampled_stability(
    upscaler: Upscaler, low: Tensor, cells: Window, threshold: float, offset: float
) -> float:
    """The stability score of a lattice of the pixels, plus all that the other pixels may add."""
    logits = upscaler.sample(low, cells).numpy()
    inner = int(np.count_nonzero(logits > threshold + offset))
    outer = max(1, int(np.count_nonzero(logits > threshold - offset)))
    return inner / outer + max(SAMPLED_BAND, SAMPLED_BAND_EDGE / outer**0.5)


def _measure(
    upscaler: Upscaler, low: Tensor, cells: Window, threshold: float, offset: float
) -> tuple[int, ...]:
    """Pixels above threshold + offset and above - offset, true pixels, XYXY around them."""
    top, bottom, left, right = upscaler.pixels(cells)
    rows, columns = np.zeros(bottom - top, bool), np.zeros(right - left, bool)
    inner = outer = area = 0
    for pixels, block in upscaler.blocks(low, cells):
        logits = block.numpy()  # which counts faster than torch
        mask = logits > threshold
        mask.any(axis=1, out=rows[pixels.top - top : pixels.bottom - top])
        columns |= mask.any(axis=0)
        area += int(np.count_nonzero(mask))
        inner += int(np.count_nonzero(np.greater(logits, threshold + offset, out=mask)))
        outer += int(np.count_nonzero(np.greater(logits, threshold - offset, out=mask)))
    if area == 0:
        return inner, outer, 0, 0, 0, 0, 0
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    box = left + int(x[0]), top + int(y[0]), left + int(x[-1]), top + int(y[-1])
    return inner, outer, area, *box


def draw(chosen: Chosen, mask_threshold: float) -> Drawn:
    """The mask at full size, as much of it as its window holds."""
    crop = chosen.crop
    low, cells = crop.logits[chosen.index], crop.cells[chosen.index]
    window = crop.upscaler.pixels(cells)
    left, top, right, bottom = chosen.box  # in the image
    mask = np.concatenate(
        [block.numpy() > mask_threshold for _, block in crop.upscaler.blocks(low, cells)]
    )
    x, y = window.left + crop.crop_box[0], window.top + crop.crop_box[1]
    tight = mask[top - y : bottom + 1 - y, left - x : right + 1 - x]
    return Drawn(chosen, tight, (top, left))


def clean(drawn: list[Drawn], image_size: Size, settings: AutomaticMaskSettings) -> list[Drawn]:
    """Masks without holes and specks, and NMS once more, which prefers what was clean already.

    As officially. Masks that are made of specks alone are dropped where settings say so.
    """
    least = settings.min_mask_region_area
    cleaned, unchanged = [], []
    for one in drawn:
        mask = np.zeros(image_size, bool)
        (top, left), (h, w) = one.offset, one.pixels.shape
        mask[top : top + h, left : left + w] = one.pixels
        mask, filled = remove_small_regions(mask, least, "holes")
        mask, dropped = remove_small_regions(mask, least, "islands")
        if dropped and settings.drop_small_masks and np.count_nonzero(mask) < least:
            continue
        unchanged.append(not (filled or dropped))
        cleaned.append(_with_pixels(one, mask) if filled or dropped else one)
    if not cleaned:
        return []
    boxes = torch.tensor([one.chosen.box for one in cleaned])
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    kept = nms(boxes, torch.tensor(unchanged).float(), threshold)
    return [cleaned[i] for i in kept.tolist()]


def _with_pixels(one: Drawn, mask: NDArray[np.bool_]) -> Drawn:
    window = window_of(mask)
    box = (window.left, window.top, window.right - 1, window.bottom - 1)
    pixels = mask[window.slices].copy()
    chosen = replace(one.chosen, box=box, area=int(np.count_nonzero(pixels)))
    return Drawn(chosen, pixels, (window.top, window.left))
