"""Felzenszwalb and Huttenlocher's regions: what proposals and edges have to be better than."""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

SCALES = (30.0, 60.0, 120.0, 250.0, 500.0, 1000.0)
"""Larger scales give larger regions."""
SIGMA = 0.8
"""Standard deviation in pixels of the Gaussian that smooths the image first."""
LEAST_PIXELS = 50
"""Smaller regions are joined to others."""


def felzenszwalb_regions(image: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Labels H x W of the regions of an image (H x W x 3 uint8), for each of `SCALES`."""
    return [
        felzenszwalb(image, scale=scale, sigma=SIGMA, min_size=LEAST_PIXELS) for scale in SCALES
    ]


def region_masks(image: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    """The regions of all scales as masks, H x W bool each: largest first, none twice."""
    masks: dict[bytes, NDArray[np.bool_]] = {}
    for labels in felzenszwalb_regions(image):
        for label in range(int(labels.max()) + 1):
            mask = labels == label
            masks.setdefault(np.packbits(mask).tobytes(), mask)
    return sorted(masks.values(), key=lambda mask: -int(np.count_nonzero(mask)))
