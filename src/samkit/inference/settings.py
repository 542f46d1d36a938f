"""Every number of the automatic mask generator, and presets of them."""

import dataclasses
from dataclasses import dataclass

from samkit.errors import UsageError
from samkit.masks.crops import OVERLAP_RATIO


@dataclass(frozen=True)
class AutomaticMaskSettings:
    """What `SamAutomaticMaskGenerator` does; the defaults are the official ones."""

    points_per_side: int | None = 32
    """Points along each side of the grid of prompts over the image."""
    points_per_batch: int = 64
    """Most prompts decoded at a time; fewer are taken where that is faster."""
    pred_iou_thresh: float = 0.88
    """Keep masks with a predicted IoU above this, 0 to 1."""
    stability_score_thresh: float = 0.95
    """Keep masks with at least this stability score, 0 to 1."""
    stability_score_offset: float = 1.0
    """How far the stability score moves the threshold of the logits, up and down."""
    box_nms_thresh: float = 0.7
    """Of two masks of one crop whose boxes have a larger IoU, keep the better one."""
    crop_n_layers: int = 0
    """Layers of crops that are segmented as well; layer i has 2^i x 2^i of them."""
    crop_nms_thresh: float = 0.7
    """As the box threshold, between crops; masks of smaller crops win."""
    crop_overlap_ratio: float = OVERLAP_RATIO
    """Overlap of the first layer's crops as a part of the shorter side of the image."""
    crop_n_points_downscale_factor: int = 1
    """The grid of layer i has this factor to the power of i fewer points a side."""
    min_mask_region_area: int = 0
    """Fill holes and drop specks of masks that have fewer pixels than this."""
    drop_small_masks: bool = False
    """Drop masks whose every part is smaller than that, instead of keeping the largest part."""
    max_mask_share: float = 1.0
    """Drop masks that cover a larger part of the image than this, 0 to 1."""
    ask_again: bool = False
    """Ask for each mask once more, by its point and its box together, and keep that answer where it
    is largely the same mask: for models that answer boxes better than points (docs/adr/0008)."""

    def __post_init__(self) -> None:
        """Raises UsageError where a number makes no sense."""
        least = {
            "points_per_batch": 1,
            "stability_score_offset": 0,
            "crop_n_layers": 0,
            "crop_n_points_downscale_factor": 1,
            "min_mask_region_area": 0,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                raise UsageError(f"{name} must be at least {value}, not {getattr(self, name)}.")
        if not 0 <= self.crop_overlap_ratio < 1:
            raise UsageError(
                f"crop_overlap_ratio must be from 0 to below 1, not {self.crop_overlap_ratio}."
            )
        if self.points_per_side is not None:
            fewest = int(
                self.points_per_side / self.crop_n_points_downscale_factor**self.crop_n_layers
            )
            if fewest < 1:
                raise UsageError(
                    f"points_per_side {self.points_per_side} leaves no point in the smallest "
                    "crops; take more points or a smaller crop_n_points_downscale_factor."
                )

    @classmethod
    def paper(cls) -> "AutomaticMaskSettings":
        """How SA-1B was made (SAM, appendix B "Automatic Mask Generation Details").

        A 32 x 32 grid on the image, 16 x 16 on each of 2 x 2 crops, 8 x 8 on each of 4 x 4; masks
        over 95% of the image dropped; components and holes under 100 pixels removed, and masks of
        nothing but such components with them.
        """
        return cls(
            crop_n_layers=2,
            crop_n_points_downscale_factor=2,
            min_mask_region_area=100,
            drop_small_masks=True,
            max_mask_share=0.95,
        )

    @classmethod
    def small(cls) -> "AutomaticMaskSettings":
        """For the bundled model, whose predicted IoU and stability are lower than published ones.

        How the thresholds were chosen is told in docs/default-model.md.
        """
        return cls(
            points_per_side=20,
            pred_iou_thresh=0.45,
            stability_score_thresh=0.4,
            box_nms_thresh=0.5,
            min_mask_region_area=100,
            max_mask_share=0.8,
            ask_again=True,
        )


PRESETS = {
    "official": AutomaticMaskSettings(),
    "paper": AutomaticMaskSettings.paper(),
    "small": AutomaticMaskSettings.small(),
}

SEEN_BY_THE_MODEL = (
    "points_per_side",
    "stability_score_offset",
    "crop_n_layers",
    "crop_overlap_ratio",
    "crop_n_points_downscale_factor",
    "ask_again",
)
"""Settings that cannot be changed without running the model again."""

DECIDE_WHAT_IS_ASKED_AGAIN = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "box_nms_thresh",
    "min_mask_region_area",
    "max_mask_share",
)
"""Neither can these, where masks are asked for again."""


def require_selectable(found: AutomaticMaskSettings, wanted: AutomaticMaskSettings) -> None:
    """UsageError where candidates that were found with some settings do not suffice for others."""
    seen = SEEN_BY_THE_MODEL + (DECIDE_WHAT_IS_ASKED_AGAIN if found.ask_again else ())
    for name in seen:
        if getattr(found, name) != getattr(wanted, name):
            raise UsageError(
                f"The candidates were found with {name} {getattr(found, name)}, so that "
                f"{getattr(wanted, name)} needs a new run of the model."
            )
    for name in ("pred_iou_thresh", "stability_score_thresh"):
        if getattr(wanted, name) < getattr(found, name):
            raise UsageError(
                f"The candidates hold nothing below {name} {getattr(found, name)}; find them "
                f"again with a lower one to select with {getattr(wanted, name)}."
            )


def lowered(
    settings: AutomaticMaskSettings, pred_iou: float, stability: float
) -> AutomaticMaskSettings:
    """The settings with thresholds of at most these, where what is kept can be chosen later."""
    if settings.ask_again:
        return settings
    return dataclasses.replace(
        settings,
        pred_iou_thresh=min(settings.pred_iou_thresh, pred_iou),
        stability_score_thresh=min(settings.stability_score_thresh, stability),
    )
