"""Columns of values about masks, as code around the official generator holds them.

Nothing else in samkit uses this: the generator keeps candidates and chosen masks in classes of its
own (`candidates.py`, `selection.py`).
"""

from collections.abc import ItemsView
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.errors import UsageError
from samkit.masks import rle
from samkit.masks.boxes import mask_to_box
from samkit.masks.nms import nms
from samkit.masks.regions import remove_small_regions

Column = list[Any] | NDArray[Any] | Tensor


class MaskData:
    """Named columns with one entry a mask: lists, arrays or tensors (official `utils.amg`)."""

    def __init__(self, **columns: Column) -> None:
        self._columns: dict[str, Column] = {}
        for name, column in columns.items():
            self[name] = column

    def __setitem__(self, name: str, column: Column) -> None:
        if not isinstance(column, list | np.ndarray | Tensor):
            raise UsageError(
                f"The column {name!r} must be a list, a numpy array or a tensor, "
                f"not {type(column).__name__}."
            )
        self._columns[name] = column

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __delitem__(self, name: str) -> None:
        del self._columns[name]

    def items(self) -> ItemsView[str, Column]:
        """(name, column) pairs."""
        return self._columns.items()

    def filter(self, keep: Tensor) -> None:
        """Keeps some of the masks. keep: a bool for each, or the indices of those wanted."""
        indices = keep.nonzero()[:, 0] if keep.dtype == torch.bool else keep
        for name, column in self.items():
            if isinstance(column, list):
                self[name] = [column[i] for i in indices.tolist()]
            elif isinstance(column, Tensor):
                self[name] = column[indices.to(column.device)]
            else:
                self[name] = column[indices.cpu().numpy()]

    def cat(self, new_stats: "MaskData") -> None:
        """Appends the masks of another one, which has the same columns; any if this has none."""
        for name, column in new_stats.items():
            ours = self._columns.get(name)
            if ours is None:
                self[name] = column.clone() if isinstance(column, Tensor) else column.copy()
            elif isinstance(ours, list):
                self[name] = ours + list(column)
            elif isinstance(ours, Tensor):
                self[name] = torch.cat([ours, torch.as_tensor(column)])
            else:
                self[name] = np.concatenate([ours, np.asarray(column)])

    def to_numpy(self) -> None:
        """Turns tensors into arrays."""
        for name, column in self.items():
            if isinstance(column, Tensor):
                self[name] = column.detach().cpu().numpy()


def postprocess_small_regions(mask_data: MaskData, min_area: int, nms_thresh: float) -> MaskData:
    """Masks without holes and specks of fewer than `min_area` pixels, and NMS once more.

    mask_data: with `rles` (uncompressed) and `boxes` (XYXY); changed in place, and returned. NMS
    prefers masks that were clean already.
    """
    masks, clean = [], []
    for one in mask_data["rles"]:
        mask, filled = remove_small_regions(rle.decode(one), min_area, "holes")
        mask, dropped = remove_small_regions(mask, min_area, "islands")
        masks.append(torch.from_numpy(mask))
        clean.append(not (filled or dropped))
    if not masks:
        return mask_data
    boxes = mask_to_box(torch.stack(masks))
    for i in (i for i, unchanged in enumerate(clean) if not unchanged):
        mask_data["rles"][i] = rle.to_uncompressed(rle.encode(masks[i][None])[0])
        mask_data["boxes"][i] = boxes[i]
    mask_data.filter(nms(boxes, torch.tensor(clean).float(), nms_thresh))
    return mask_data
