"""Read any photograph by one stated rule: H×W×3 uint8 RGB, upright.

| what the file holds | what comes out |
|---|---|
| an EXIF (or XMP) orientation | the picture turned upright; an unreadable one counts as none |
| gray, black and white | three equal channels; white is 255 |
| 16 bits, gray | value / 257, rounded: 0 … 65535 becomes 0 … 255 and nothing is stretched |
| 16 bits, colour | the upper byte of each value |
| whole numbers of 32 bits, gray | as 16 bits if all lie in 0 … 65535, else stretched |
| floats, gray | value · 255 if all lie in 0 … 1, else stretched; NaN is black |
| transparency (alpha, palette, one colour) | laid on white |
| palette, CMYK, YCbCr, HSV, L*a*b* | converted; colour profiles are not applied |
| several pages or frames | the first |

Stretched: the smallest finite value becomes 0 and the largest 255, as microscopy tools show such
data. A camera of 12 bits that writes into 16 comes out dark; stretch it first if you mind.
Everything else is refused with an ImageError of one sentence.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from samkit.errors import ImageError, SamkitError, UsageError

Source = str | os.PathLike[str] | bytes | IO[bytes]
Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]

MAX_PIXELS = 200_000_000
"""Larger pictures are refused unless a caller allows more: 200 megapixels."""

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""Pillow's names of what is read; recognised by content, never by the name of the file."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm"}
    | {".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif"}
)
"""Lower-case suffixes by which `walk` finds pictures in folders."""

_SUFFIX_OF = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_ORIENTATION_TAG = 0x0112
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
_CONVERTIBLE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_STRAIGHT_ALPHA = {"LA", "PA", "RGBA"}
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}

_Array = TypeVar("_Array", bound=NDArray[Any])


def read(source: Source, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Pixels:
    """A picture as H×W×3 uint8 RGB, upright, by the rule at the top of this module.

    source: a path, the bytes of a file, or a binary file object (read from its start, not closed).
    enough: pixels of the longer side that are wanted at least; a JPEG of twice as many or more is
        decoded at 1/2, 1/4 or 1/8 of its size (rounded up), several times as quickly.
    Raises ImageError, and nothing else, if the file is missing, damaged, cut short, of an unknown
    kind or larger than `max_pixels`; hostile files included.
    """
    return _read(source, max_pixels, _rgb, enough)


class Head(NamedTuple):
    """What a picture's head says of it."""

    size: tuple[int, int]
    """(H, W) as `read` gives it: upright."""
    suffix: str
    """The usual one of its format, with its dot: .jpg, .png, …"""


def head(source: Source, max_pixels: int = MAX_PIXELS) -> Head:
    """What a picture is, without its pixels (a PNG without EXIF is decoded to look for it).

    Raises ImageError as `read` does, but for damage beyond the head.
    """
    with opened(source, max_pixels) as image:
        kind, (width, height) = image.format or "", image.size
        if kind != "TIFF" and _orientation(image) >= 5:  # Pillow says a TIFF's size upright
            width, height = height, width
        return Head((height, width), _SUFFIX_OF.get(kind, f".{kind.lower()}"))


@contextlib.contextmanager
def opened(
    source: Source, max_pixels: int = MAX_PIXELS, formats: Iterable[str] = FORMATS
) -> Iterator[Image.Image]:
    """A picture as Pillow has it, its head read and its size checked; pixels are decoded later.

    formats: Pillow's names of what is read. Whatever goes wrong, in the `with` block too, is an
    ImageError; other errors of ours pass through.
    """
    name, formats = _name_of(source), tuple(formats)
    try:
        with _opened(source, name) as file, _without_pillows_limit():
            image = Image.open(file, formats=formats)
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{name} has {width}x{height} pixels, more than the limit of {max_pixels}; "
                    "make it smaller or raise the limit."
                )
            yield image
    except SamkitError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a picture that samkit reads, or its head is damaged; "
            f"save it as one of {', '.join(formats)}."
        ) from error
    except Exception as error:
        # Decoders of hostile files raise almost anything: OSError, SyntaxError, struct.error,
        # ZeroDivisionError, MemoryError …
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(
            f"Cannot read {name}: {' '.join(reason.split())}; check that it is a whole picture."
        ) from error


def as_mask(source: Source, max_pixels: int = MAX_PIXELS) -> Bools:
    """A binary mask from a picture of one: H×W bool, true where any colour channel is not zero.

    In a palette picture the index counts, so that 0 is the background whatever its colour; pixels
    that are wholly transparent are false. The orientation is applied as in `read`.
    Raises ImageError as `read` does, and for colour spaces in which zero is not black.
    """
    return _read(source, max_pixels, _nonzero)


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


def walk(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The pictures among files and folders, sorted, each once.

    A file that is named counts whatever its suffix. Folders are searched with all their subfolders
    for the SUFFIXES; names that begin with a dot are passed over, links to folders not followed.
    Raises UsageError if a path does not exist or a folder cannot be read.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise UsageError(f"There is no file or folder {path}; check the name.")
            found.add(path)
            continue
        for folder, subfolders, names in os.walk(path, onerror=_cannot_walk):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            found.update(
                Path(folder, name)
                for name in names
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
            )
    return sorted(found)


def _read(
    source: Source,
    max_pixels: int,
    convert: Callable[[Image.Image, str], _Array],
    enough: int | None = None,
) -> _Array:
    """Open, check, decode, convert and turn a picture; whatever goes wrong is an ImageError."""
    with opened(source, max_pixels) as image:
        if enough is not None:
            share, (width, height) = enough / max(image.size), image.size
            image.draft(None, (max(1, int(width * share)), max(1, int(height * share))))
        image.load()
        return _upright(convert(image, _name_of(source)), _orientation(image))


def _name_of(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "The picture"


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        if Path(source).exists() and not Path(source).is_file():  # a pipe would block for ever
            raise ImageError(f"{name} is not a file; give the path of a picture.")
        with open(source, "rb") as file:
            yield file
    else:
        yield source


_reading = threading.Lock()
_readers: list[int | None] = []


@contextlib.contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels, which warns early and is global, while we apply our own."""
    with _reading:
        _readers.append(Image.MAX_IMAGE_PIXELS if not _readers else _readers[0])
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _reading:
            limit = _readers.pop()
            if not _readers:
                Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 … 8 of a decoded picture; 1 where it is missing or nonsense."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # damaged metadata does not make the pixels unreadable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(array: _Array, orientation: int) -> _Array:
    """Undo an EXIF orientation: 5 … 8 are mirrored at the diagonal, then all are flipped."""
    turned: Any = array.swapaxes(0, 1) if orientation >= 5 else array
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return cast(_Array, np.ascontiguousarray(turned))


def _rgb(image: Image.Image, name: str) -> Pixels:
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


def _nonzero(image: Image.Image, name: str) -> Bools:
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


def _cannot_walk(error: OSError) -> None:
    raise UsageError(
        f"Cannot read the folder {error.filename}: {error.strerror}; check its permissions."
    ) from error
