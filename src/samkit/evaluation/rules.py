"""Rules that need no model: what any score has to be well above.

Every rule answers the prompts that the model gets. Radii were chosen on `train`.
"""

import cv2
import numpy as np

DISC = 0.07
"""Radius of the single disc, as a share of the image's longer side."""
DISCS = (0.03, 0.07, 0.22)
"""Radii of the three discs, of which the best counts."""
GRABCUT_DISC = 0.02
"""Radius of the disc of sure foreground that GrabCut gets around a click."""
GRABCUT_ROUNDS = 3

Box = tuple[float, float, float, float]


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """All pixels within `radius` (share of the longer side) of a click: H x W bool."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (cols - x) ** 2 <= (radius * max(shape)) ** 2


def rectangle(shape: tuple[int, int], box: Box) -> np.ndarray:
    """The box, filled (XYXY)."""
    mask = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(v) for v in box)
    mask[max(0, y0) : y1, max(0, x0) : x1] = True
    return mask


def ellipse(shape: tuple[int, int], box: Box) -> np.ndarray:
    """The ellipse that touches the box's sides, filled."""
    x0, y0, x1, y1 = box
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    a, b = max(x1 - x0, 1) / 2, max(y1 - y0, 1) / 2
    across = (cols + 0.5 - (x0 + x1) / 2) / a
    return across**2 + ((rows + 0.5 - (y0 + y1) / 2) / b) ** 2 <= 1


def grabcut_click(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """OpenCV's GrabCut: a disc at the click is sure foreground, the border background."""
    seeds = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    seeds[[0, -1], :] = cv2.GC_BGD
    seeds[:, [0, -1]] = cv2.GC_BGD
    seeds[disc(image.shape[:2], x, y, GRABCUT_DISC)] = cv2.GC_FGD
    return _grabcut(image, seeds)


def grabcut_box(image: np.ndarray, box: Box) -> np.ndarray:
    """OpenCV's GrabCut: inside the box probable foreground, outside sure background."""
    seeds = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    seeds[rectangle(image.shape[:2], box)] = cv2.GC_PR_FGD
    return _grabcut(image, seeds)


def _grabcut(image: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Runs GrabCut from seeds; where it cannot fit its colour models, the sure foreground alone."""
    sure = seeds == cv2.GC_FGD
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(
            np.ascontiguousarray(image[:, :, ::-1]),
            seeds,
            (0, 0, 1, 1),  # not looked at with seeds
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            GRABCUT_ROUNDS,
            cv2.GC_INIT_WITH_MASK,
        )
    except cv2.error:
        return sure
    return (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)
