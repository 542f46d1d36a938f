"""Low-res logits to any part of the image at full size, exactly, without making the whole.

Officially a mask is enlarged in two bilinear steps: to the model's square input, of which the
padding is then cut off, and from there to the image. Both steps are linear and act on rows and
columns alone, so that together they are

    logits at full size = R @ low-res logits @ C^T

with one matrix for rows and one for columns. Every row of R and C has at most three numbers other
than zero, none is negative and they sum to 1. Hence (1) a rectangle of the result needs few rows of
both and a small part of the low-res logits, and (2) a pixel can only be above a level if one of its
few low-res sources is, so that everything outside a known window is below the level.

The matrices are read off `F.interpolate` itself, so that the products agree with it within the
rounding of sums: 1e-5 for logits of usual size (tested).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samkit.inference.transforms import Size

ROWS_AT_ONCE = 128
"""Rows of a block: more would meet more low-res rows, of which most are zero for each."""


class Window(NamedTuple):
    """A rectangle: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel at all."""
        return self.top >= self.bottom or self.left >= self.right


class Upscaler:
    """Enlarges low-res logits of one image, as `Sam.postprocess_masks` does.

    low_size: side n of the low-res logits. img_size: side of the model's input. input_size,
    original_size: (H, W) of the image before padding, and of the image itself.
    """

    def __init__(
        self,
        low_size: int,
        img_size: int,
        input_size: Size,
        original_size: Size,
        device: torch.device | str = "cpu",
    ) -> None:
        self.low_size, self.original_size = low_size, original_size
        self._rows = _Axis(low_size, img_size, input_size[0], original_size[0], device)
        self._cols = _Axis(low_size, img_size, input_size[1], original_size[1], device)

    @property
    def valid_size(self) -> Size:
        """Rows and columns of the low-res logits that the image depends on; padding is the rest."""
        return self._rows.valid, self._cols.valid

    def shares(self, above: Tensor) -> Tensor:
        """Part of the image that true low-res cells stand for.

        above: ... x n x n bool. Returns (...,) float32 in [0, 1]: a close estimate of the true part
        of the full-size mask, as each cell counts with the weight that it has there.
        """
        rows, cols = self.valid_size
        counted = above[..., :rows, :cols].float() @ self._cols.share.to(above.device)
        return counted @ self._rows.share.to(above.device)

    def windows(self, low: Tensor, level: float) -> list[Window]:
        """For each of P x n x n logits the low-res cells that matter for what is above a level.

        Outside of what these cells reach, no full-size pixel is above `level`. The window is empty
        where no cell of the image is above it.
        """
        rows, cols = self.valid_size
        above = (low[:, :rows, :cols] > level).view(torch.uint8)
        extents = torch.cat(
            [_extent(above.amax(2)), _extent(above.amax(1))], dim=1
        ).tolist()  # P x 4
        return [
            Window(*self._rows.reach(top, bottom), *self._cols.reach(left, right))
            for top, bottom, left, right in extents
        ]

    def pixels(self, cells: Window) -> Window:
        """The pixels of the image all of whose sources lie within a window of low-res cells."""
        return Window(
            *self._rows.inside(cells.top, cells.bottom),
            *self._cols.inside(cells.left, cells.right),
        )

    def blocks(self, low: Tensor, cells: Window) -> Iterator[tuple[Window, Tensor]]:
        """Full-size logits of `pixels(cells)` in blocks of rows, from top to bottom.

        low: the low-res logits of the window alone, h x w. Yields (pixels, float32 logits of them).
        """
        top, bottom, left, right = self.pixels(cells)
        wide = low.float() @ self._cols.matrix[left:right, cells.left : cells.right].T
        for start in range(top, bottom, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, bottom)
            first, last = self._rows.sources(start, stop)
            weights = self._rows.matrix[start:stop, first:last]
            yield (
                Window(start, stop, left, right),
                weights @ wide[first - cells.top : last - cells.top],
            )

    def sample(self, low: Tensor, cells: Window) -> Tensor:
        """Full-size logits of a lattice of pixels, at least two to a low-res cell each way.

        low: the low-res logits of the window alone, h x w. All of `pixels(cells)` where the image
        is no finer than that.
        """
        top, bottom, left, right = self.pixels(cells)
        rows = self._rows.lattice(top, bottom)[:, cells.top : cells.bottom]
        cols = self._cols.lattice(left, right)[:, cells.left : cells.right]
        return rows @ (low.float() @ cols.T)

    def logits(self, low: Tensor, out: Tensor) -> None:
        """Writes full-size logits of P x n x n low-res logits into `out`, P x H x W float32."""
        rows, cols = self.valid_size
        for part, target in zip(low[:, :rows, :cols], out, strict=True):
            for pixels, block in self.blocks(part, Window(0, rows, 0, cols)):
                target[pixels.top : pixels.bottom] = block

    def masks(self, low: Tensor, threshold: float, out: Tensor) -> None:
        """Writes full-size masks of P x n x n low-res logits into `out`, P x H x W bool."""
        out.zero_()
        for part, cells, target in zip(low, self.windows(low, threshold), out, strict=True):
            if cells.empty:
                continue
            part = part[cells.top : cells.bottom, cells.left : cells.right]
            for (top, bottom, left, right), block in self.blocks(part, cells):
                torch.gt(block, threshold, out=target[top:bottom, left:right])


class _Axis:
    """One direction: the matrix of both steps together, and which numbers of it are not zero."""

    def __init__(
        self, low: int, img: int, valid: int, original: int, device: torch.device | str
    ) -> None:
        unit = torch.eye(low, device=device)[None]
        to_input = F.interpolate(unit, img, mode="linear", align_corners=False)[..., :valid]
        both = F.interpolate(to_input, original, mode="linear", align_corners=False)[0].T
        sources = (both != 0).cpu().numpy()
        self.first = sources.argmax(1)  # of the cells that each pixel depends on
        self.last = low - 1 - sources[:, ::-1].argmax(1)
        self.valid = int(self.last.max()) + 1
        self.matrix = both[:, : self.valid].contiguous()  # pixels x cells
        self.share = self.matrix.sum(0) / original

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """All sources of those pixels that depend on any of the cells start ... stop - 1."""
        first = int(np.searchsorted(self.last, start, "left"))
        last = int(np.searchsorted(self.first, stop - 1, "right"))
        return self.sources(first, last) if start < stop and first < last else (0, 0)

    def inside(self, start: int, stop: int) -> tuple[int, int]:
        """Pixels that depend on none but the cells start ... stop - 1."""
        return (
            int(np.searchsorted(self.first, start, "left")),
            int(np.searchsorted(self.last, stop - 1, "right")),
        )

    def lattice(self, start: int, stop: int) -> Tensor:
        """The matrix's rows of every n-th of the pixels start ... stop - 1."""
        step = max(1, len(self.matrix) // (2 * self.valid))
        return self.matrix[start + step // 2 : stop : step]

    def sources(self, first: int, last: int) -> tuple[int, int]:
        """Cells that the pixels first ... last - 1 depend on."""
        return int(self.first[first]), int(self.last[last - 1]) + 1


def _extent(flags: Tensor) -> Tensor:
    """P x K of 0 and 1 to P x 2: the first 1 and one past the last; equal where there is none."""
    first = flags.argmax(1)
    stop = flags.shape[1] - flags.flip(1).argmax(1)
    return torch.stack([first, torch.where(flags.amax(1) > 0, stop, first)], dim=1)
