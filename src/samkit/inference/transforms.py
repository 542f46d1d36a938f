"""From pixels of an image to pixels of the model's input: the longer side becomes its size.

The model's input is a square; what is left of it on the right and at the bottom is padding, which
`Sam.preprocess` adds. Names and numbers are the official package's.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

Size = tuple[int, int]
"""Height, width in pixels."""


class ResizeLongestSide:
    """Resizes images, points and boxes so that the longer side of the image is `target_length`."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> Size:
        """Height and width after the resize, rounded half up, at least one pixel each."""
        scale = long_side_length * 1.0 / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """H x W x 3 uint8 to h x w x 3 uint8, by Pillow (bilinear; it averages when it shrinks)."""
        height, width = self._shape(image.shape[:2])
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        return np.array(resized)

    def apply_coords(self, coords: ArrayLike, original_size: tuple[int, ...]) -> NDArray[Any]:
        """Points ... x 2 (x, y) of an image of (H, W) in pixels of the input, in float64."""
        (old_h, old_w), (new_h, new_w) = original_size, self._shape(original_size)
        scale = np.array([new_w / old_w, new_h / old_h])
        resized: NDArray[Any] = np.asarray(coords, dtype=np.float64) * scale
        return resized

    def apply_boxes(self, boxes: ArrayLike, original_size: tuple[int, ...]) -> NDArray[Any]:
        """Boxes (or one) XYXY of an image of (H, W) in pixels of the input: N x 4 float64."""
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)
        return self.apply_coords(corners, original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """B x 3 x H x W floats to B x 3 x h x w: close to `apply_image`, not equal to it."""
        size = self._shape(tuple(image.shape[-2:]))
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """As `apply_coords` for a tensor on any device, in float32."""
        (old_h, old_w), (new_h, new_w) = original_size, self._shape(original_size)
        coords = coords.to(torch.float32)
        return torch.stack(
            [coords[..., 0] * (new_w / old_w), coords[..., 1] * (new_h / old_h)], dim=-1
        )

    def apply_boxes_torch(self, boxes: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """As `apply_boxes` for a tensor on any device, in float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def _shape(self, size: tuple[int, ...]) -> Size:
        return self.get_preprocess_shape(size[0], size[1], self.target_length)
