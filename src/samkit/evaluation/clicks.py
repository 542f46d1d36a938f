"""Where the protocols click (SAM, appendix D.1, "Point locations")."""

import numpy as np
import scipy.ndimage


def farthest_point(region: np.ndarray) -> tuple[int, int, float]:
    """The (x, y) of a region that is farthest from its border, and how far that is, in pixels.

    region: H x W bool with at least one true pixel. The image's edge is a border, too. Where
    several pixels are equally far, the first in row order.
    """
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    top, left = rows[0], cols[0]
    part = np.pad(region[top : rows[-1] + 1, left : cols[-1] + 1], 1)
    distance = scipy.ndimage.distance_transform_edt(part)
    y, x = np.unravel_index(int(distance.argmax()), part.shape)
    return int(x - 1 + left), int(y - 1 + top), float(distance[y, x])


def next_click(predicted: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """The (x, y, label) of the next click: the point of the error farthest from the error's border.

    predicted, truth: H x W bool. Label 1 where the mask was missed, 0 where it was exceeded. A
    perfect prediction gets the truth's own farthest point again.
    """
    missed, excess = truth & ~predicted, predicted & ~truth
    clicks = [
        (*farthest_point(region), label)
        for region, label in ((missed, 1), (excess, 0))
        if region.any()
    ]
    x, y, _, label = max(clicks, key=lambda c: c[2]) if clicks else (*farthest_point(truth), 1)
    return x, y, label


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two bool masks; two empty ones have 0."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0
