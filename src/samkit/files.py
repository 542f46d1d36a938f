"""Files that appear whole or not at all, their hashes, and the folder of things kept for later."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import platformdirs

from samkit.errors import SamkitError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_CANNOT_SYNC_FOLDER = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
_CHUNK = 1 << 20
_UNFINISHED = ".samkit-{}.tmp"

OWN_FOLDER = ".samkit"
"""Hidden in a folder of outputs: what samkit knows of it, and its lock."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that appears under its name only when the `with` block has ended without an exception.

    path: where it shall appear; missing folders are made, a link is written through. What stands
        there already stays untouched until the last moment and gives its permissions to the new
        file; a new file gets those of the umask.
    mode: "wb", "w+b" or "w" (UTF-8, line ends as given).

    The bytes go to a hidden temporary name in the same folder, which is flushed to the disk, then
    renamed, or removed if anything fails; the block leaves the file open. Raises SamkitError where
    the disk is full or the place cannot be written; exceptions of the block itself pass through.
    """
    if mode not in {"wb", "w+b", "w"}:
        raise ValueError(f"atomic_write takes the modes wb, w+b and w, not {mode!r}")
    target = Path(os.path.realpath(path))
    temporary = target.with_name(_UNFINISHED.format(secrets.token_hex(8)))
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with writing(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, mode.replace("w", "x"), **text)  # type: ignore  # noqa: SIM115
        try:
            try:
                yield file
            except OSError as error:
                if error.errno in _FULL:  # only writing can say that
                    raise _cannot_write(path, error) from error
                raise
            with writing(path):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with contextlib.suppress(OSError):  # what mattered was flushed above
                file.close()
        with writing(path):
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
            _sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):  # after a success there is nothing to remove
            temporary.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises what `atomic_write` would raise, long before there is something to write.

    Missing folders are made, nothing else is changed.
    """
    if os.path.isdir(path):
        raise UsageError(f"{os.fspath(path)} is a folder; name a file.")
    with contextlib.suppress(_Enough), atomic_write(path):
        raise _Enough


class _Enough(Exception):
    """Nothing shall be written."""


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError of the `with` block, which writes at `path`, into a SamkitError about it."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = None) -> None:
    """Write a value as UTF-8 JSON, whole or not at all; numpy scalars and arrays become plain ones.

    Raises ValueError for NaN and infinities, which JSON does not have, before any file is touched.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value,
        indent=indent,
        separators=separators,
        ensure_ascii=False,
        allow_nan=False,
        default=_plain,
    )
    with atomic_write(path) as file:
        file.write(text.encode() + b"\n")


def sha256_of(
    path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits.

    progress: called after each megabyte with (bytes read, bytes in all).
    Raises UsageError if the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            total, done = os.fstat(file.fileno()).st_size, 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"Cannot read {os.fspath(path)}: {reason}; check the name and its permissions."
        ) from error
    return digest.hexdigest()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes that hold it, too, out of a folder, which is made where it is missing.

    Raises UsageError where one is in it, or where it is a file, and SamkitError where it cannot be
    written.
    """
    from filelock import FileLock, Timeout

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder for the output.")
    lock = FileLock(folder / OWN_FOLDER / "lock")
    try:
        (folder / OWN_FOLDER).mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"Another samkit writes into {folder} just now; wait for it, or give another folder."
        ) from error
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def remove_unfinished(folder: Path) -> None:
    """Remove what `atomic_write` left in a folder where it was killed; only for who holds it."""
    for path in folder.glob(_UNFINISHED.format("*")):
        with contextlib.suppress(OSError):
            path.unlink()


def cache_folder() -> Path:
    """Where downloads and derived files are kept: $SAMKIT_CACHE, else the system's user cache.

    The folder need not exist yet; `atomic_write` makes it.
    """
    if chosen := os.environ.get("SAMKIT_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("samkit", appauthor=False)


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> SamkitError:
    name = os.fspath(path)
    if error.errno in _FULL:
        return SamkitError(f"Cannot write {name}: the disk is full; free some space and try again.")
    if error.errno in _FORBIDDEN:
        return SamkitError(f"Cannot write {name}: not permitted; choose a folder you may write to.")
    reason = error.strerror or str(error)
    return SamkitError(f"Cannot write {name}: {reason}; choose another place.")


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, where the system lets a folder be flushed."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDER:
            raise


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays, torch tensors
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
