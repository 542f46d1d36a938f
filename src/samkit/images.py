"""Read any photograph: H×W×3 uint8 RGB, upright, by the rule of `samkit.pixels`.

| what the file holds | what comes out |
|---|---|
| an EXIF (or XMP) orientation | the picture turned upright; an unreadable one counts as none |
| several pages or frames | the first |

Everything that cannot be read is refused with an ImageError of one sentence.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from PIL import Image, UnidentifiedImageError

from samkit.errors import ImageError, SamkitError, UsageError
from samkit.pixels import Array, Bools, Pixels, nonzero, rgb, upright

Source = str | os.PathLike[str] | bytes | IO[bytes]

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


def read(source: Source, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Pixels:
    """A picture as H×W×3 uint8 RGB, upright, by the rule at the top of this module.

    source: a path, the bytes of a file, or a binary file object (read from its start, not closed).
    enough: pixels of the longer side that are wanted at least; a JPEG of twice as many or more is
        decoded at 1/2, 1/4 or 1/8 of its size (rounded up), several times as quickly.
    Raises ImageError, and nothing else, if the file is missing, damaged, cut short, of an unknown
    kind or larger than `max_pixels`; hostile files included.
    """
    return _read(source, max_pixels, rgb, enough)


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
    return _read(source, max_pixels, nonzero)


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
    convert: Callable[[Image.Image, str], Array],
    enough: int | None = None,
) -> Array:
    """Open, check, decode, convert and turn a picture; whatever goes wrong is an ImageError."""
    with opened(source, max_pixels) as image:
        if enough is not None:
            share, (width, height) = enough / max(image.size), image.size
            image.draft(None, (max(1, int(width * share)), max(1, int(height * share))))
        image.load()
        return upright(convert(image, _name_of(source)), _orientation(image))


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


def _cannot_walk(error: OSError) -> None:
    raise UsageError(
        f"Cannot read the folder {error.filename}: {error.strerror}; check its permissions."
    ) from error
