"""Exports: a snapshot in the format of another tool, as one zip."""

import secrets
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samkit.annotate.project import Project
from samkit.annotate.snapshots import Snapshot
from samkit.datasets.formats import FORMATS, open_writer
from samkit.datasets.store import StoreReader
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write


def check_format(format: str) -> None:
    """Raises UsageError for a format that is not known."""
    if format not in FORMATS:
        raise UsageError(f"There is no format {format!r}; choose one of {', '.join(FORMATS)}.")


def file_of_export(project: Project, export_id: str) -> Path:
    """Where an export lies or shall lie. The id must be one of ours: it becomes a file's name."""
    return project.exports / f"{export_id}.zip"


def write_export(
    project: Project,
    snapshot: Snapshot,
    format: str,
    export_id: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a snapshot in a format, as exports/ID.zip, whole or not at all.

    format: one of samkit.datasets.formats.FORMATS. Returns {format, snapshot, images, masks,
    losses}; losses counts what the format could not hold, by kind.
    Raises FormatError where a pair of the snapshot was damaged since.
    """
    check_format(format)
    project.exports.mkdir(parents=True, exist_ok=True)
    folder = project.exports / f".samkit-{secrets.token_hex(8)}.tmp"
    reader = StoreReader(snapshot.folder)
    try:
        folder.mkdir()
        with open_writer(format, folder, copy_images=True) as writer:
            for number, pair in enumerate(reader):
                progress(number, snapshot.images)
                writer.write(pair.source, pair.records, name=pair.name, size=pair.info.size)
        if reader.broken:
            name, sentence = reader.broken[0]
            raise FormatError(f"The snapshot {snapshot.hash} is damaged at {name}: {sentence}")
        _zip(folder, file_of_export(project, export_id))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    progress(snapshot.images, snapshot.images)
    return {
        "format": format,
        "snapshot": snapshot.hash,
        "images": snapshot.images,
        "masks": snapshot.masks,
        "losses": dict(writer.losses),
    }


def _zip(folder: Path, target: Path) -> None:
    with (
        atomic_write(target, "w+b") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                archive.write(path, name.as_posix())
