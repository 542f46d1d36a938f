"""COCO run-length encoding of masks, in bulk, and decoding that trusts nothing.

An RLE is {"size": [H, W], "counts": …}: lengths of runs in column-major order that begin with a
(possibly empty) run of false. `counts` is a list of ints in the uncompressed form, a string in the
compressed one (COCO API, `maskApi.c`: rleToString), which is what SA-1B and COCO files hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samkit.errors import FormatError, UsageError
from samkit.masks import rle_text
from samkit.masks.runs import Bools, Ints, Window, column_major_bounds, window_of

Rle = dict[str, Any]

MAX_PIXELS = 1 << 28
"""Largest H·W that `decode` accepts unless told otherwise: 268 megapixels."""

_RUNS_AT_ONCE = 1 << 18  # bounds the memory of the bulk encoder, about 100 bytes a run


def encode(masks: Any) -> list[Rle]:
    """Compressed RLEs of N full-size masks.

    masks: (N, H, W) bool, a numpy array or a torch tensor on any device; integers count as true
        where they are not zero. Raises UsageError for other shapes and for floats, which are likely
        logits that want a threshold first.
    """
    array = _bool_masks(masks)
    height, width = array.shape[1:]
    windows = [window_of(mask) for mask in array]
    crops = [mask[window.slices] for mask, window in zip(array, windows, strict=True)]
    return encode_crops(crops, [(w.top, w.left) for w in windows], (height, width))


def encode_crops(
    crops: Sequence[Bools], offsets: Sequence[tuple[int, int]], size: tuple[int, int]
) -> list[Rle]:
    """Compressed RLEs of masks that are known only inside a rectangle and false outside.

    crops: N bool arrays h×w, each of its own size.
    offsets: for each the (row, column) of its first pixel in the image.
    size: (H, W) of the image; raises UsageError where a crop reaches out of it.
    The full-size masks are never made; the result equals `encode` of them.
    """
    texts: list[str] = []
    pending: list[Ints] = []
    runs = 0
    for crop, offset in zip(crops, offsets, strict=True):
        crop = np.asarray(crop)
        if crop.ndim != 2 or crop.dtype != bool:
            raise UsageError(
                f"A crop must be a two-dimensional bool array, not {crop.dtype} {crop.shape}."
            )
        bottom, right = offset[0] + crop.shape[0], offset[1] + crop.shape[1]
        if min(offset) < 0 or bottom > size[0] or right > size[1]:
            raise UsageError(
                f"A crop of {crop.shape} at {tuple(offset)} reaches out of the image of {size}; "
                "cut it at the image's edge."
            )
        pending.append(_counts_between(column_major_bounds(crop, offset, size), size))
        runs += len(pending[-1])
        if runs > _RUNS_AT_ONCE:
            texts += rle_text.write(pending)
            pending, runs = [], 0
    texts += rle_text.write(pending)
    return [_rle(size, text) for text in texts]


def decode(rle: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> Bools:
    """The mask of an RLE, compressed (str or bytes) or not (list of ints), as H×W bool.

    Everything is checked before the mask is allocated. Raises FormatError if a key is missing, the
    size is not two positive ints or has more than `max_pixels` pixels, a run is negative, the
    string is damaged, or the runs do not sum up to H·W.
    """
    (height, width), counts = _checked(rle, max_pixels)
    mask = np.zeros((height, width), bool)
    true_runs = np.flatnonzero(counts[1::2]) * 2 + 1
    if len(true_runs) == 0:
        return mask
    # Only the columns that hold something are unrolled, then written in row-major order.
    ends = np.cumsum(counts)
    first, last = true_runs[0], true_runs[-1]
    left, right = int(ends[first - 1]) // height, int(ends[last] - 1) // height + 1
    before, after = ends[first - 1] - left * height, right * height - ends[last]
    lengths = np.concatenate([[before], counts[first : last + 1], [after]])
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    mask[:, left:right] = columns.reshape(right - left, height).T
    return mask


def area(rle: Mapping[str, Any]) -> int:
    """Number of true pixels of an RLE of either form; checked as in `decode`, but not decoded."""
    _, counts = _checked(rle, MAX_PIXELS)
    return int(counts[1::2].sum())


def measure(rle: Mapping[str, Any]) -> tuple[int, Window]:
    """True pixels of an RLE of either form and the smallest window that holds them; zeros if there
    are none. Checked as in `decode`, but not decoded."""
    (height, _), counts = _checked(rle, MAX_PIXELS)
    ends = np.cumsum(counts)
    starts, stops = ends[:-1:2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if len(starts) == 0:
        return 0, Window(0, 0, 0, 0)
    last = stops - 1
    left, right = int(starts[0] // height), int(last[-1] // height) + 1
    if (starts // height != last // height).any():  # a run over the foot of a column
        top, bottom = 0, height
    else:
        top, bottom = int((starts % height).min()), int((last % height).max()) + 1
    return int((stops - starts).sum()), Window(top, bottom, left, right)


def to_uncompressed(rle: Mapping[str, Any]) -> Rle:
    """The same RLE with counts as a list of ints (the official `uncompressed_rle`)."""
    (height, width), counts = _checked(rle, MAX_PIXELS)
    return {"size": [height, width], "counts": counts.tolist()}


def from_uncompressed(rle: Mapping[str, Any]) -> Rle:
    """The same RLE with counts as a compressed string (the official `coco_rle`)."""
    size, counts = _checked(rle, MAX_PIXELS)
    return _rle(size, rle_text.write([counts])[0])


def _rle(size: tuple[int, int], counts: str | list[int]) -> Rle:
    return {"size": [int(size[0]), int(size[1])], "counts": counts}


def _counts_between(bounds: Ints, size: tuple[int, int]) -> Ints:
    """Lengths of the runs between boundaries; an empty last run is left out, as COCO does."""
    counts = np.diff(bounds, prepend=0, append=size[0] * size[1])
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def _bool_masks(masks: Any) -> Bools:
    if hasattr(masks, "detach"):  # a torch tensor
        masks = masks.detach().cpu().numpy()
    array = np.asarray(masks)
    if array.ndim != 3:
        raise UsageError(f"Masks to encode must have the shape (N, H, W), not {array.shape}.")
    if array.dtype.kind not in "bui":
        raise UsageError(
            f"Masks to encode must be bool, not {array.dtype}; apply a threshold first."
        )
    return array if array.dtype == bool else array != 0


def _checked(rle: Mapping[str, Any], max_pixels: int) -> tuple[tuple[int, int], Ints]:
    """Size and run lengths of an RLE from anywhere, or FormatError."""
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise FormatError('An RLE must be a mapping with the keys "size" and "counts".')
    height, width = _checked_size(rle["size"], max_pixels)
    pixels, counts = height * width, rle["counts"]
    if isinstance(counts, str | bytes):
        lengths = rle_text.read(counts, most=pixels + 2)
    elif isinstance(counts, list | tuple | np.ndarray):
        lengths = _checked_list(counts, most=pixels)
    else:
        raise FormatError(
            f"RLE counts must be a string or a list of ints, not {type(counts).__name__}."
        )
    if lengths.size == 0 or lengths.min() < 0 or lengths.max() > pixels or lengths.sum() != pixels:
        raise FormatError(
            f"The runs of an RLE of {height}x{width} pixels must be non-negative "
            f"and sum up to {pixels}; this one is damaged or has the wrong size."
        )
    return (height, width), lengths


def _checked_size(size: Any, max_pixels: int) -> tuple[int, int]:
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(_is_int, size)):
        raise FormatError("The size of an RLE must be a list of two ints [height, width].")
    height, width = int(size[0]), int(size[1])
    if height <= 0 or width <= 0 or height * width > max_pixels:
        raise FormatError(
            f"The size of an RLE must be positive and have at most {max_pixels} pixels."
        )
    return height, width


def _checked_list(counts: Any, most: int) -> Ints:
    if isinstance(counts, np.ndarray):
        counts = counts.tolist()
    # Python ints of any size are compared before they are squeezed into 64 bits.
    if not all(_is_int(count) and 0 <= count <= most for count in counts):
        raise FormatError(f"RLE counts must be ints from 0 to {most}, the pixels of the mask.")
    return np.array(counts, dtype=np.int64)


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
