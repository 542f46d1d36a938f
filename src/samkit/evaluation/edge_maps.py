"""Soft edge maps of an image: from the model's masks, or from regions (SAM, appendix D.2)."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samkit.evaluation.regions import felzenszwalb_regions
from samkit.inference.candidates import find
from samkit.inference.selection import Chosen, choose
from samkit.inference.settings import AutomaticMaskSettings
from samkit.masks.crops import point_grids_all_layers
from samkit.modeling import Sam

Pixels = NDArray[np.uint8]
Edges = NDArray[np.float32]
EdgeDetector = Callable[[Pixels], Edges]
"""From an image (H x W x 3) to its edges: H x W in 0 to 1, thin."""

POINTS_PER_SIDE = 16
"""16 x 16 points with three masks each, so 768."""
SETTINGS = AutomaticMaskSettings(
    points_per_side=POINTS_PER_SIDE,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.0,
    stability_score_offset=8.0,  # filters nothing; logits lower than that are not kept
)
"""No filter but NMS."""
NORMAL_SCALE = 2.0
"""Standard deviation in pixels of the Gaussian by which the direction of an edge is found."""
REGION_BLUR = 1.0
"""Standard deviation in pixels of the Gaussian that joins borders of regions of several scales."""


def edges_of_model(sam: Sam) -> EdgeDetector:
    """The model as an edge detector: the borders of all its masks, as strong as they are sharp."""
    grids = point_grids_all_layers(POINTS_PER_SIDE, 0, 1)

    def detect(image: Pixels) -> Edges:
        size = (image.shape[0], image.shape[1])
        edges = np.zeros(size, np.float32)
        for chosen in choose(find(sam, image, SETTINGS, grids), size, SETTINGS, sam.mask_threshold):
            logits = _logits(chosen, size)
            np.maximum(edges, border_strength(logits, sam.mask_threshold), out=edges)
        return thin_edges(_normalised(edges))

    return detect


def edges_of_regions(image: Pixels) -> Edges:
    """Borders of Felzenszwalb and Huttenlocher's regions, averaged over their scales."""
    edges = np.zeros(image.shape[:2], np.float32)
    for labels in felzenszwalb_regions(image):
        border = np.zeros(labels.shape, bool)
        border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
        border[:-1] |= labels[:-1] != labels[1:]
        edges += border
    return thin_edges(
        _normalised(np.asarray(cv2.GaussianBlur(edges, (0, 0), REGION_BLUR), np.float32))
    )


def border_strength(logits: Edges, threshold: float = 0.0) -> Edges:
    """Sobel's magnitude of a mask's probability, near the mask's outer border only.

    logits: H x W of one mask. Zero more than a pixel away from the border, at the borders of holes,
    and where the mask ends because the image does.
    """
    probability = 1 / (1 + np.exp(-logits))
    across = cv2.Sobel(probability, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(probability, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    mask = (logits > threshold).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    border = np.zeros_like(mask)
    for contour in contours:
        border[contour[:, 0, 1], contour[:, 0, 0]] = 1
    near = cv2.dilate(border, np.ones((3, 3), np.uint8))
    strength: Edges = cv2.magnitude(across, down) * near
    return strength


def thin_edges(edges: Edges) -> Edges:
    """Keeps the pixels that are at least as strong as both neighbours across the edge (edge NMS).

    edges: H x W. The direction across is that in which the map, smoothed, is curved most.
    The neighbours lie one pixel away in that direction and are interpolated between pixels.
    """
    smooth = np.asarray(edges, np.float64)
    along_x, along_y, mixed = (
        ndimage.gaussian_filter(smooth, NORMAL_SCALE, order=order, mode="nearest")
        for order in ((0, 2), (2, 0), (1, 1))
    )
    # The eigenvector of [[xx, xy], [xy, yy]] whose eigenvalue has the larger magnitude: downwards
    # on the crest, upwards at the foot.
    of_larger = 0.5 * np.arctan2(2 * mixed, along_x - along_y)
    angle = np.where(along_x + along_y < 0, of_larger + np.pi / 2, of_larger)
    step_x, step_y = np.cos(angle), np.sin(angle)
    rows, cols = np.indices(edges.shape)
    kept = np.asarray(edges > 0)
    for sign in (1, -1):
        neighbour = ndimage.map_coordinates(
            smooth, [rows + sign * step_y, cols + sign * step_x], order=1, mode="nearest"
        )
        kept &= edges >= neighbour - 1e-6  # so that rounding drops neither side of a plateau
    return np.where(kept, edges, 0).astype(np.float32)


def _logits(chosen: Chosen, size: tuple[int, int]) -> Edges:
    """The mask's logits, H x W; what was not kept of them is as low as what was kept at least."""
    crop = chosen.crop
    logits = np.full(size, -SETTINGS.stability_score_offset, np.float32)
    cells = crop.cells[chosen.index]
    for (top, bottom, left, right), block in crop.upscaler.blocks(crop.logits[chosen.index], cells):
        logits[top:bottom, left:right] = block.numpy()
    return logits


def _normalised(edges: NDArray[np.floating]) -> Edges:
    """From 0 to 1, linearly; a flat map becomes 0."""
    low, high = float(edges.min()), float(edges.max())
    return ((edges - low) / max(high - low, 1e-12)).astype(np.float32)
