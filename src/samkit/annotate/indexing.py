"""Which photographs a project has: found by their content, wherever they lie."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samkit import images
from samkit.annotate.database import Database
from samkit.annotate.refusals import NotFound
from samkit.annotate.tables import Image, Location
from samkit.datasets.document import is_plain_name
from samkit.errors import ImageError, SamkitError
from samkit.files import sha256_of

_AT_ONCE = 100
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


@dataclass
class Indexed:
    """What a walk through the photographs brought."""

    new: int = 0
    known: int = 0
    """Files whose content was there already: unchanged, moved or copies."""
    broken: dict[str, str] = field(default_factory=dict)
    """Path of a file that is no picture, with the sentence that says why."""


@dataclass(frozen=True)
class _Seen:
    path: Path
    size: int
    mtime_ns: int
    sha256: str
    name: str
    kind: str
    width: int
    height: int


def index(
    database: Database,
    photos: Iterable[Path],
    progress: Callable[[int, int], None] | None = None,
) -> Indexed:
    """Take all pictures among files and folders into the project.

    A file that has the size and time it had is not read again. One with known content (moved,
    copied) becomes another location of its image; one with new content a new image, at the end of
    the queue. Nothing is ever taken out. progress: called with (files done, files in all).
    Raises UsageError where a path does not exist.
    """
    paths = [Path(os.path.abspath(path)) for path in images.walk(photos)]
    result = Indexed()
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        seen = _look(part, _unchanged(database, part), result)
        if seen:
            with database.write() as session:
                for file in seen:
                    _take_in(session, file, result)
        if progress is not None:
            progress(min(start + _AT_ONCE, len(paths)), len(paths))
    return result


def image_of(session: Session, image_id: str) -> Image:
    """An image by its id. Raises NotFound."""
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound(f"There is no image {image_id}.")
    return image


def file_of(session: Session, image: Image) -> Path:
    """A file that holds an image now. Raises NotFound where none does any more."""
    query = select(Location).where(Location.image_id == image.id).order_by(Location.path)
    for location in session.scalars(query):
        path = Path(location.path)
        if _has(path, location.size, location.mtime_ns) or _same_content(path, image.sha256):
            return path
    raise NotFound(
        f"The file of {image.name} was moved or changed; put it back or start the annotator again "
        "on the folder where it is now."
    )


def _unchanged(database: Database, paths: Sequence[Path]) -> set[Path]:
    """Those that are known and have the size and time they had."""
    names = [str(path) for path in paths if _is_text(path)]
    with database.read() as session:
        query = select(Location).where(Location.path.in_(names))
        return {
            Path(known.path)
            for known in session.scalars(query)
            if _has(Path(known.path), known.size, known.mtime_ns)
        }


def _look(paths: Sequence[Path], unchanged: set[Path], result: Indexed) -> list[_Seen]:
    seen = []
    for path in paths:
        if path in unchanged:
            result.known += 1
            continue
        try:
            seen.append(_look_at(path))
        except SamkitError as error:
            result.broken[str(path)] = str(error)
    return seen


def _look_at(path: Path) -> _Seen:
    if not path.is_file():  # a pipe would block for ever
        raise ImageError(f"{path} is not a file; give the path of a picture.")
    if not (is_plain_name(path.name) and _is_text(path)):
        raise ImageError(f"{str(path)!r} has a name that no export can hold; rename it.")
    status = path.stat()
    try:
        with Pillow.open(path, formats=images.FORMATS) as picture:
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION) in _SIDEWAYS:
                width, height = height, width
            kind = picture.format or ""
    except Exception as error:  # decoders of hostile files raise almost anything
        raise ImageError(f"{str(path)!r} is not a picture that samkit reads.") from error
    if width * height > images.MAX_PIXELS:
        raise ImageError(f"{path} has more than {images.MAX_PIXELS} pixels; make it smaller.")
    return _Seen(
        path, status.st_size, status.st_mtime_ns, sha256_of(path), path.name, kind, width, height
    )


def _is_text(path: Path) -> bool:
    """Whether a path is UTF-8, as databases want it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _take_in(session: Session, file: _Seen, result: Indexed) -> None:
    image = session.scalar(select(Image).where(Image.sha256 == file.sha256))
    if image is None:
        last = session.scalar(select(func.max(Image.position)))
        image = Image(
            sha256=file.sha256,
            position=0 if last is None else last + 1,
            name=file.name,
            kind=file.kind,
            width=file.width,
            height=file.height,
        )
        session.add(image)
        session.flush()
        result.new += 1
    else:
        result.known += 1
    session.merge(
        Location(path=str(file.path), image_id=image.id, size=file.size, mtime_ns=file.mtime_ns)
    )
    session.flush()


def _has(path: Path, size: int, mtime_ns: int) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return path.is_file() and (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _same_content(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and sha256_of(path) == sha256
    except SamkitError:
        return False
