"""Values of any kind as H×W×3 uint8 RGB, by one stated rule.

| what there is | what comes out |
|---|---|
| gray, black and white | three equal channels; white is 255 |
| 16 bits, gray | value / 257, rounded: 0 … 65535 becomes 0 … 255 and nothing is stretched |
| 16 bits, colour | the upper byte of each value |
| whole numbers of 32 bits, gray | as 16 bits if all lie in 0 … 65535, else stretched |
| floats, gray | value · 255 if all lie in 0 … 1, else stretched; NaN is black |
| transparency (alpha, palette, one colour) | laid on white |
| palette, CMYK, YCbCr, HSV, L*a*b* | converted; colour profiles are not applied |

Stretched: the smallest finite value becomes 0 and the largest 255, as microscopy tools show such
data. A camera of 12 bits that writes into 16 comes out dark; stretch it first if you mind.
"""

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samkit.errors import ImageError

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Array = TypeVar("Array", bound=NDArray[Any])

_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
_CONVERTIBLE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_STRAIGHT_ALPHA = {"LA", "PA", "RGBA"}
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def from_array(array: NDArray[Any]) -> Pixels:
    """An array as H×W×3 uint8 RGB, by the same rule as a file of such values.

    array: H×W or H×W×1 (gray), H×W×3 (RGB) or H×W×4 (RGB and alpha, laid on white) of uint8,
        uint16, bool or floats. Floats with alpha must lie in 0 … 1.
    Raises ImageError for other shapes and types. H×W×3 uint8 is returned as it is, not copied.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise ImageError(
            f"An image array must be HxW, HxWx1, HxWx3 or HxWx4 and not empty, not {array.shape}."
        )
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "bf" and (kind != "u" or size > 2):
        raise ImageError(
            f"An image array must be uint8, uint16, bool or float, not {array.dtype}; convert it."
        )
    if array.shape[2] == 4 and kind == "f" and not _within(array, 0, 1):
        raise ImageError("A float image array with alpha must lie in 0 … 1; rescale it.")
    values = _eight_bits(array)
    if values.shape[2] == 4:
        return _on_white(Image.fromarray(values))
    return _three_channels(values)


def upright(array: Array, orientation: int) -> Array:
    """Undo an EXIF orientation: 5 … 8 are mirrored at the diagonal, then all are flipped."""
    turned: Any = array.swapaxes(0, 1) if orientation >= 5 else array
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return cast(Array, np.ascontiguousarray(turned))


def rgb(image: Image.Image, name: str) -> Pixels:
    """A decoded picture as H×W×3 uint8; ImageError, with its name, for other kinds of pixels."""
    if image.mode in _DEEP:
        values = np.array(image)
        gray = _eight_bits(values)
        if isinstance(clear := image.info.get("transparency"), int):  # one value of a 16-bit PNG
            gray[values == clear] = 255
        return _three_channels(gray[..., None])
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if image.mode not in _CONVERTIBLE | _STRAIGHT_ALPHA:
        raise ImageError(f"{name} holds pixels of the kind {image.mode}; save it as RGB.")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def nonzero(image: Image.Image, name: str) -> Bools:
    """A decoded picture of a mask as H×W bool; see `images.as_mask`."""
    if image.format in ("JPEG", "MPO"):
        raise ImageError(f"{name} is a JPEG, which blurs masks; save the mask as PNG.")
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    values: NDArray[Any] = np.array(image)
    mask: Any = np.not_equal(values, 0) & np.equal(values, values)  # NaN is false
    if image.mode in _STRAIGHT_ALPHA:
        mask = mask[..., :-1].any(axis=-1) & mask[..., -1]
    elif image.mode == "RGB":
        mask = mask.any(axis=-1)
    elif image.mode not in _DEEP | {"1", "L", "P"}:
        raise ImageError(f"{name} is a {image.mode} picture, not a mask; save it as gray PNG.")
    return cast(Bools, mask)


def _eight_bits(values: NDArray[Any]) -> Pixels:
    """Values as 0 … 255, by the rule at the top of this module; uint8 is returned as it is."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if values.dtype == np.uint8:
        return values
    if kind == "b":
        return values * np.uint8(255)
    if (kind == "u" and size == 2) or (kind == "i" and _within(values, 0, 65535)):
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind == "f" and _within(values, 0, 1):
        low, high = 0.0, 1.0
    else:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    with np.errstate(all="ignore"):
        scaled = (values.astype(np.float64) - low) * (255 / max(high - low, 1e-300))
    rounded: Pixels = np.rint(np.nan_to_num(scaled.clip(0, 255), copy=False)).astype(np.uint8)
    return rounded


def _within(values: NDArray[Any], low: float, high: float) -> bool:
    """Whether all values but NaN lie in low … high."""
    return not bool(((values < low) | (values > high)).any())


def _three_channels(values: Pixels) -> Pixels:
    return values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)


def _on_white(image: Image.Image) -> Pixels:
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return np.array(paper.convert("RGB"))
