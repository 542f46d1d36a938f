"""A project: the folder that the annotator owns.

project.json     name, id, version of the layout
project.sqlite   the database, unless PostgreSQL is used
cache/           embeddings, may be deleted at any time
decoder/         decoders for the page, one folder for each model; may be deleted too
snapshots/HASH/  immutable stores
exports/         what was exported
project.lock     held by the one server that works on the folder
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from samkit.annotate.database import Database, sqlite_url
from samkit.errors import UsageError
from samkit.files import write_json

LAYOUT = 1
"""Version of the folder's layout."""

FILE = "project.json"
"""What makes a folder a project."""


@dataclass(frozen=True)
class Project:
    """An open project."""

    folder: Path
    name: str
    id: str
    database: Database

    @property
    def cache(self) -> Path:
        """Where embeddings lie."""
        return self.folder / "cache"

    @property
    def decoder(self) -> Path:
        """Where decoders for the page lie."""
        return self.folder / "decoder"

    @property
    def snapshots(self) -> Path:
        """Where snapshots lie."""
        return self.folder / "snapshots"

    @property
    def exports(self) -> Path:
        """Where exports lie."""
        return self.folder / "exports"


@contextlib.contextmanager
def open_project(
    folder: str | Path, database: str | None = None, *, alone: bool = True
) -> Iterator[Project]:
    """A project for one server; it is made where there is none.

    folder: of the project. database: URL of a PostgreSQL database; the folder's own SQLite if None.
    alone: False for a look at the database, which a server may use at the same time.
    Raises UsageError where the folder holds something else, is of a newer layout, or is open
    already in another process.
    """
    folder = Path(folder).absolute()
    values = _read_or_make(folder)
    with _locked(folder) if alone else contextlib.nullcontext():
        opened = Database(database or sqlite_url(folder / "project.sqlite"))
        try:
            yield Project(folder, values["name"], values["id"], opened)
        finally:
            opened.close()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / "project.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"The project {folder} is open in another samkit annotate; use that one or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _read_or_make(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not a project and not empty; choose another --project.")
        name = folder.name.removesuffix(".samkit") or folder.name
        write_json(file, {"layout": LAYOUT, "name": name, "id": secrets.token_urlsafe(16)}, 2)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        sound = isinstance(values["name"], str) and isinstance(values["id"], str)
        newer = values["layout"] > LAYOUT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} cannot be read as a project; restore it from a copy.") from error
    if not sound or newer:
        raise UsageError(f"{folder} was made by a newer samkit; install that one to open it.")
    return values
