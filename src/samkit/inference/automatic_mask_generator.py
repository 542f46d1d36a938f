"""Segment everything: the official `SamAutomaticMaskGenerator` (SAM, section 5 and appendix B)."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samkit.errors import UsageError
from samkit.inference.candidates import Candidates, CropCandidates, Floats, Progress, find
from samkit.inference.cores import on_separate_cores
from samkit.inference.mask_data import postprocess_small_regions
from samkit.inference.predictor import SamPredictor
from samkit.inference.records import OUTPUT_MODES, to_records
from samkit.inference.selection import choose, clean, draw
from samkit.inference.settings import AutomaticMaskSettings, lowered, require_selectable
from samkit.inference.transforms import Size
from samkit.masks.crops import OVERLAP_RATIO, point_grids_all_layers
from samkit.modeling import Sam
from samkit.pixels import from_array

Record = dict[str, Any]

_SETTINGS = {field.name for field in dataclasses.fields(AutomaticMaskSettings)}


class SamAutomaticMaskGenerator:
    """All masks of an image: a grid of points as prompts, filters, NMS.

    The arguments, their defaults and the records are the official ones. `from_settings` takes the
    further ones, and presets of all; `candidates` and `select` are the two halves of `generate`.
    Every setting is also an attribute, such as `pred_iou_thresh`, that may be read and set.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = OVERLAP_RATIO,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[NDArray[Any]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        """See `AutomaticMaskSettings` for the numbers.

        point_grids: instead of points_per_side (which is then None), for each layer of crops
            N x 2 points (x, y) in [0, 1]. output_mode: what a record's `segmentation` is,
            "binary_mask", "uncompressed_rle" or "coco_rle".
        """
        settings = AutomaticMaskSettings(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            min_mask_region_area=min_mask_region_area,
        )
        self._set(model, settings, point_grids, output_mode)

    @classmethod
    def from_settings(
        cls,
        model: Sam,
        settings: AutomaticMaskSettings,
        output_mode: str = "binary_mask",
        point_grids: Sequence[NDArray[Any]] | None = None,
    ) -> "SamAutomaticMaskGenerator":
        """A generator with all settings in one, such as `AutomaticMaskSettings.paper()`."""
        generator = cls.__new__(cls)
        generator._set(model, settings, point_grids, output_mode)
        return generator

    def _set(
        self,
        model: Sam,
        settings: AutomaticMaskSettings,
        point_grids: Sequence[NDArray[Any]] | None,
        output_mode: str,
    ) -> None:
        if output_mode not in OUTPUT_MODES:
            known = ", ".join(OUTPUT_MODES)
            raise UsageError(f"output_mode must be one of {known}, not {output_mode!r}.")
        self.predictor, self.output_mode = SamPredictor(model), output_mode
        self._settings, self._point_grids = settings, _grids(settings, point_grids)

    @property
    def model(self) -> Sam:
        """The model that is asked."""
        return self.predictor.model

    @property
    def settings(self) -> AutomaticMaskSettings:
        """All settings; set others, and the next call follows them."""
        return self._settings

    @settings.setter
    def settings(self, settings: AutomaticMaskSettings) -> None:
        own = self._point_grids if settings.points_per_side is None else None
        self._point_grids = _grids(settings, own)
        self._settings = settings

    @property
    def point_grids(self) -> list[Floats]:
        """For each layer of crops N x 2 points in [0, 1]; set others instead of points_per_side."""
        return self._point_grids

    @point_grids.setter
    def point_grids(self, point_grids: Sequence[NDArray[Any]]) -> None:
        settings = dataclasses.replace(self._settings, points_per_side=None)
        self._settings, self._point_grids = settings, _grids(settings, point_grids)

    postprocess_small_regions = staticmethod(postprocess_small_regions)

    def __getattr__(self, name: str) -> Any:
        if name not in _SETTINGS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.settings, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SETTINGS:
            self.settings = dataclasses.replace(self.settings, **{name: value})
        else:
            super().__setattr__(name, value)

    def generate(self, image: NDArray[Any], progress: Progress | None = None) -> list[Record]:
        """The masks of an image, as one record each; an empty list where there is none.

        image: H x W x 3 uint8 RGB, or what else `samkit.pixels.from_array` converts.
        A record holds `segmentation` (H x W bool, or RLE), `area`, `bbox` (XYWH), `predicted_iou`,
        `point_coords` ([[x, y]]), `stability_score` and `crop_box` (XYWH), all in pixels of the
        image. progress: called with (points done, points in all) after every few.
        Raises ImageError for other arrays.
        """
        pixels = from_array(image)
        crops = find(self.model, pixels, self.settings, self.point_grids, progress)
        return _select(
            crops, pixels.shape[:2], self.settings, self.model.mask_threshold, self.output_mode
        )

    def candidates(
        self, image: NDArray[Any], pred_iou_floor: float = 0.5, stability_floor: float = 0.5
    ) -> Candidates:
        """The half of `generate` that runs the model: all that `select` may choose from.

        Masks below the floors (or this generator's thresholds, where these are lower) are left
        out; where masks are asked for again (`ask_again`), those below its thresholds. Of each mask
        a part of its low-res logits is held in memory, at most n x n x 4 bytes.
        """
        pixels = from_array(image)
        settings = lowered(self.settings, pred_iou_floor, stability_floor)
        crops = tuple(find(self.model, pixels, settings, self.point_grids))
        height, width = pixels.shape[:2]
        return Candidates((height, width), crops, settings, self.model.mask_threshold)

    def select(
        self, candidates: Candidates, settings: AutomaticMaskSettings | None = None
    ) -> list[Record]:
        """The half of `generate` that chooses, without the model; the same records as from there.

        settings: this generator's where None. Raises UsageError where they would need another run
        of the model.
        """
        settings = settings or self.settings
        require_selectable(candidates.settings, settings)
        return _select(
            candidates.crops,
            candidates.image_size,
            settings,
            candidates.mask_threshold,
            self.output_mode,
        )


@torch.no_grad()
def _select(
    crops: Iterable[CropCandidates],
    image_size: tuple[int, ...],
    settings: AutomaticMaskSettings,
    mask_threshold: float,
    output_mode: str,
) -> list[Record]:
    size: Size = (image_size[0], image_size[1])
    chosen = choose(crops, size, settings, mask_threshold)
    drawn = list(on_separate_cores(lambda one: draw(one, mask_threshold), chosen))
    if settings.min_mask_region_area > 0:
        drawn = clean(drawn, size, settings)
    return to_records(drawn, size, output_mode)


def _grids(
    settings: AutomaticMaskSettings, point_grids: Sequence[NDArray[Any]] | None
) -> list[Floats]:
    """Points for each layer of crops, from either of the two arguments."""
    if (point_grids is None) == (settings.points_per_side is None):
        raise UsageError("Give either points_per_side or point_grids, and None for the other.")
    if point_grids is None:
        assert settings.points_per_side is not None  # the one of them that is there
        return point_grids_all_layers(
            settings.points_per_side,
            settings.crop_n_layers,
            settings.crop_n_points_downscale_factor,
        )
    grids = [np.asarray(grid, dtype=np.float64) for grid in point_grids]
    if len(grids) <= settings.crop_n_layers:
        raise UsageError(
            f"point_grids must hold a grid for each of {settings.crop_n_layers + 1} layers, "
            f"not {len(grids)}."
        )
    for grid in grids:
        if grid.ndim != 2 or grid.shape[1] != 2 or not ((grid >= 0) & (grid <= 1)).all():
            raise UsageError("Every grid of point_grids must be Nx2 points (x, y) in 0 to 1.")
    return grids
