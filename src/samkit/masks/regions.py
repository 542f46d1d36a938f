"""Small holes and specks of masks (SAM, section 5 "Segmenting everything" and appendix B)."""

from typing import Literal

import numpy as np

from samkit.masks.components import Components, components_of, pixels_of
from samkit.masks.runs import Bools, Runs


def remove_small_regions(
    mask: Bools, area_thresh: float, mode: Literal["holes", "islands"]
) -> tuple[Bools, bool]:
    """Fill the small holes of a mask or drop its small islands, with the official result.

    mask: H×W bool, which is not changed. Pixels that share a corner touch, holes' pixels too.
    mode: "holes" fills every region of false pixels under `area_thresh` pixels, also one at the
        image's edge. "islands" drops every region of true pixels under `area_thresh`; if all are
        under it, the largest stays.
    Returns the new mask (the same one if nothing was small) and whether any region was small.
    """
    holes = mode == "holes"
    found = components_of(~mask if holes else mask)
    small = found.areas < area_thresh
    if not small.any():
        return mask, False
    if not holes and small.all():
        small[_largest(found, mask.shape[1])] = False
    chosen = small[found.labels]
    result = mask.copy()
    runs = Runs(*(part[chosen] for part in found.runs))
    result.reshape(-1)[pixels_of(runs, mask.shape[1])] = holes
    return result, True


def _largest(found: Components, width: int) -> int:
    """The component with the most pixels; of equal ones the first that OpenCV meets.

    OpenCV, which the official code asks, scans blocks of 2x2 pixels row by row.
    """
    runs, labels, areas = found
    ties = areas[labels] == areas.max()
    blocks = (runs.rows[ties] // 2) * width + runs.starts[ties] // 2
    return int(labels[ties][np.argmin(blocks)])
