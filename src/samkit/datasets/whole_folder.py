"""Folders that appear whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from samkit.errors import SamkitError, UsageError


@contextlib.contextmanager
def whole_folder(target: Path, *, mark: str) -> Iterator[Path]:
    """A folder to fill, which takes its name only when the block has ended without an exception.

    mark: a file by which a folder of ours is known, which then is replaced; one without it raises
    UsageError.
    """
    if target.exists() and not (target / mark).is_file():
        raise UsageError(f"{target} is there already and holds something else; choose another -o.")
    token = secrets.token_hex(8)
    fresh, old = (target.with_name(f".samkit-{token}.{kind}") for kind in ("tmp", "old"))
    try:
        try:
            fresh.mkdir(parents=True)
        except OSError as error:
            raise _cannot_write(target, error) from error
        yield fresh
        try:
            if target.exists():
                os.rename(target, old)
            os.rename(fresh, target)
        except OSError as error:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def restore(target: Path, *, mark: str) -> None:
    """Give a folder its name back where a process was killed just before the new one took it."""
    if not target.exists():
        for old in target.parent.glob(".samkit-*.old"):
            if (old / mark).is_file():
                os.rename(old, target)
                return


def _cannot_write(target: Path, error: OSError) -> SamkitError:
    return SamkitError(f"Cannot write {target}: {error.strerror}; choose another place.")
