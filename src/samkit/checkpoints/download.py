"""Fetches published weights into the user's cache: resumed, checked, whole or not at all."""

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from filelock import FileLock

from samkit.checkpoints.known import KNOWN, KnownCheckpoint, by_hand
from samkit.errors import DownloadError, UsageError
from samkit.files import sha256_of

Progress = Callable[[int, int], None]
"""Called with (bytes here, bytes in all), the first time with what an earlier try has left."""

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
_TRIES = 4  # connections in a row that bring nothing
_PAUSE = 0.5  # seconds before the first of these is repeated, doubled each time


class _Dropped(Exception):
    """The connection ended early; what came is kept, and another try may bring more."""


def download(name: str, *, progress: Progress | None = None) -> Path:
    """Brings a published checkpoint into the cache and returns where it lies.

    name: a key of `KNOWN`, such as "vit_b". An unfinished download is resumed; a file that is there
    with the right hash is left as it is. A second process that wants the same file waits.
    Raises UsageError for an unknown name, DownloadError where the server cannot be reached, sends
    something else, or the disk is too small; the sentence says what to put where by hand.
    """
    if name not in KNOWN:
        raise UsageError(
            f"There is no model named {name!r} to download; there are {', '.join(KNOWN)}."
        )
    return fetch(KNOWN[name], progress)


def fetch(known: KnownCheckpoint, progress: Progress | None = None) -> Path:
    """`download` for an entry of the table."""
    path, part = known.path, known.part
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(known.file + ".lock")):
            if known.cached and sha256_of(path) == known.sha256:
                return path
            _fill(part, known, progress)
            if sha256_of(part) != known.sha256:
                part.unlink()
                raise DownloadError(
                    f"What {known.url} sent is not {known.file}: its SHA-256 is wrong; it was "
                    f"deleted, so try again, or {by_hand(known)}."
                )
            os.replace(part, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DownloadError(
            f"Cannot write {path}: {reason}; set SAMKIT_CACHE to a folder with room."
        ) from error
    return path


def _fill(part: Path, known: KnownCheckpoint, progress: Progress | None) -> None:
    """Makes `part` as long as the whole file, over as many connections as it takes."""
    if part.exists() and part.stat().st_size > known.bytes:
        part.unlink()
    with open(part, "ab") as file:
        _require_room(known, file.tell())
        if progress is not None:
            progress(file.tell(), known.bytes)
        fruitless = 0
        while file.tell() < known.bytes:
            before = file.tell()
            try:
                _receive(file, known, progress)
            except _Dropped as dropped:
                fruitless = 0 if file.tell() > before else fruitless + 1
                if fruitless == _TRIES:
                    raise _unreachable(known, file.tell(), dropped) from dropped
                time.sleep(_PAUSE * 2 ** (fruitless - 1) if fruitless else 0)
        file.flush()
        os.fsync(file.fileno())


def _receive(file: IO[bytes], known: KnownCheckpoint, progress: Progress | None) -> None:
    """Appends what one connection brings; raises _Dropped where it ends early."""
    have = file.tell()
    headers = {"User-Agent": "samkit", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(known.url, headers=headers), timeout=_TIMEOUT
        ) as response:
            if have and not _continues(response, have):
                file.truncate(0)  # the server sends the file from its beginning
                file.seek(0)
            _require_length(response, known, file.tell())
            while chunk := _read(response, known.bytes - file.tell()):
                file.write(chunk)
                if progress is not None:
                    progress(file.tell(), known.bytes)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # what is here is longer than what the server has
            file.truncate(0)
            file.seek(0)
            raise _Dropped("the server has less than what is already here") from error
        if error.code >= 500 or error.code == 429:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from error
        raise DownloadError(
            f"{known.url} answers {error.code} {error.reason}; {by_hand(known)}."
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as e:
        raise _Dropped(str(getattr(e, "reason", e)) or type(e).__name__) from e
    if file.tell() < known.bytes:
        raise _Dropped("the connection was cut")


def _read(response: http.client.HTTPResponse, wanted: int) -> bytes:
    """The next bytes, never more than are wanted; network errors only, so that writing's differ."""
    try:
        return response.read(min(_CHUNK, wanted)) if wanted > 0 else b""
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def _continues(response: http.client.HTTPResponse, have: int) -> bool:
    sent = response.headers.get("Content-Range", "")
    return response.status == 206 and sent.startswith(f"bytes {have}-")


def _require_length(response: http.client.HTTPResponse, known: KnownCheckpoint, have: int) -> None:
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and have + int(length) != known.bytes:
        raise DownloadError(
            f"{known.url} offers {have + int(length):,} bytes where {known.file} has "
            f"{known.bytes:,}, so it is another file; {by_hand(known)}."
        )


def _require_room(known: KnownCheckpoint, have: int) -> None:
    free = shutil.disk_usage(known.path.parent).free
    if free < known.bytes - have:
        raise DownloadError(
            f"{known.file} needs {(known.bytes - have) / 1e6:,.0f} MB more and {known.path.parent} "
            f"has {free / 1e6:,.0f} MB; free some space or set SAMKIT_CACHE to a folder with room."
        )


def _unreachable(known: KnownCheckpoint, have: int, why: Exception) -> DownloadError:
    if have:
        return DownloadError(
            f"The download of {known.url} stopped ({why}); {have:,} of {known.bytes:,} bytes are "
            f"kept, so try again to go on from there, or {by_hand(known)}."
        )
    return DownloadError(
        f"Cannot reach {known.url} ({why}); where this machine has no network, {by_hand(known)}."
    )
