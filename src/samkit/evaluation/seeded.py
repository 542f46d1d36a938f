"""Classical segmentation from seeds: watershed, random walker, GrabCut.

Clicks become discs of sure foreground or background, and the image's border is background, so that
one click is enough. Points are N x 2 (x, y), labels N of 1 (inside) and 0 (outside), images H x W
x 3 uint8, masks H x W bool. Radii were chosen on `train`.
"""

import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker as walk

from samkit.evaluation.shapes import Box, Mask, disc, rectangle

Image = NDArray[np.uint8]
Seeds = NDArray[np.int32]

WATERSHED_SEED = 0.01
"""Radius of the watershed's seeds, as a share of the image's longer side."""
WATERSHED_BLUR = 1.0
"""Standard deviation in pixels of the Gaussian that smooths the image for the watershed."""
WALKER_SIDE = 192
"""The random walker goes over an image whose longer side has at most so many pixels."""
WALKER_SEED = 0.02
"""Radius of the random walker's seeds, as a share of the image's longer side."""
WALKER_BETA = 1000.0
"""How much it shuns steps across contrast."""
GRABCUT_DISC = 0.02
"""Radius of the discs of sure pixels that GrabCut gets."""
GRABCUT_ROUNDS = 3

UNKNOWN, INSIDE, OUTSIDE = 0, 1, 2


def seeds_of(
    shape: tuple[int, ...], points: NDArray[np.floating], labels: NDArray[np.integer], radius: float
) -> Seeds:
    """`INSIDE`, `OUTSIDE` and `UNKNOWN` of every pixel: the border, then discs at the clicks.

    radius: share of the longer side. Where discs meet, the later one holds, but never on the pixel
    of another click.
    """
    seeds = np.full(shape, OUTSIDE, np.int32)
    seeds[1:-1, 1:-1] = UNKNOWN
    values = np.where(labels == 1, INSIDE, OUTSIDE)
    for (x, y), value in zip(points, values, strict=True):
        seeds[disc(shape, x, y, radius)] = value
    columns, rows = np.clip(np.rint(points).astype(int), 0, [shape[1] - 1, shape[0] - 1]).T
    seeds[rows, columns] = values
    return seeds


def watershed(image: Image, points: NDArray[np.floating], labels: NDArray[np.integer]) -> Mask:
    """OpenCV's watershed: seeds grow where the colour changes least."""
    smooth = cv2.GaussianBlur(image, (0, 0), WATERSHED_BLUR)
    # OpenCV takes the outermost pixels for a frame, so that those of ours must not be that.
    seeds = np.pad(seeds_of(image.shape[:2], points, labels, WATERSHED_SEED), 1, mode="edge")
    cv2.watershed(cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE), seeds)
    return seeds[1:-1, 1:-1] == INSIDE


def random_walker(image: Image, points: NDArray[np.floating], labels: NDArray[np.integer]) -> Mask:
    """scikit-image's random walker: pixels from which a walk likelier meets the inside first."""
    height, width = image.shape[:2]
    scale = min(1.0, WALKER_SIDE / max(height, width))
    size = max(3, round(width * scale)), max(3, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    factor = np.array([size[0] / width, size[1] / height])
    seeds = seeds_of(small.shape[:2], points * factor, labels, WALKER_SEED)
    if not (seeds == UNKNOWN).any():
        return _enlarged((seeds == INSIDE).astype(np.float32), (width, height))
    with warnings.catch_warnings():  # about seeds that enclose pixels, and a solver we do not take
        warnings.simplefilter("ignore")
        chances = walk(
            small,
            seeds,
            beta=WALKER_BETA,
            mode="cg_j",
            channel_axis=2,
            return_full_prob=True,
        )
    return _enlarged(chances[0].astype(np.float32), (width, height))


def grabcut_clicks(image: Image, points: NDArray[np.floating], labels: NDArray[np.integer]) -> Mask:
    """OpenCV's GrabCut: discs at the clicks and the border are sure, all else probably outside."""
    seeds = seeds_of(image.shape[:2], points, labels, GRABCUT_DISC)
    kinds = np.array([cv2.GC_PR_BGD, cv2.GC_FGD, cv2.GC_BGD], np.uint8)
    return _grabcut(image, kinds[seeds])


def grabcut_box(image: Image, box: Box) -> Mask:
    """OpenCV's GrabCut: inside the box probable foreground, outside sure background."""
    kinds = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    kinds[rectangle(image.shape[:2], box)] = cv2.GC_PR_FGD
    return _grabcut(image, kinds)


def _grabcut(image: Image, kinds: NDArray[np.uint8]) -> Mask:
    """Runs GrabCut from seeds; where it cannot fit its colour models, the sure foreground alone."""
    sure = kinds == cv2.GC_FGD
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(
            np.ascontiguousarray(image[:, :, ::-1]),
            kinds,
            (0, 0, 1, 1),  # not looked at with seeds
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            GRABCUT_ROUNDS,
            cv2.GC_INIT_WITH_MASK,
        )
    except cv2.error:
        return sure
    return (kinds == cv2.GC_FGD) | (kinds == cv2.GC_PR_FGD)


def _enlarged(chance: NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """Where the inside is likelier; size: (width, height)."""
    return cv2.resize(chance, size, interpolation=cv2.INTER_LINEAR) > 0.5
