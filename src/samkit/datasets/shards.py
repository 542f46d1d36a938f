"""Stores as tar shards: sorted pairs in uncompressed tars, with a manifest of their SHA-256.

    manifest.json        {"format": "samkit shards", "version": 1, "shards": [{"file", "sha256",
                         "bytes", "pairs", "records", "first", "last"}, …]}
    shard-00000.tar      NAME.jpg, NAME.json, …

Shards are written one after the other; each counts once it stands in the manifest.
"""

import contextlib
import tarfile
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from samkit.datasets.document import document_bytes, parse_json
from samkit.datasets.payload import Payload
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError, SamkitError, UsageError
from samkit.files import atomic_write, sha256_of, write_json, writing

MANIFEST = "manifest.json"
_FORMAT = "samkit shards"
_KEYS = {"file": str, "sha256": str, "bytes": int, "pairs": int, "records": int}


class ShardWriter(PairWriter):
    """Writes pairs into tar shards of a folder; use it in a `with` block.

    Names must come in ascending order. A folder with a manifest is continued after its last pair:
    what `is_done` says is in it already may be passed over, so an interrupted run can be repeated.
    The same pairs give the same bytes.
    """

    def __init__(self, folder: str | Path, *, shard_bytes: int = 1 << 30) -> None:
        """folder: is made where it is missing. shard_bytes: a shard ends once it is this large.

        Raises FormatError for a broken manifest in the folder.
        """
        super().__init__(folder)
        self._limit = shard_bytes
        self._shards = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else []
        self._last = self._shards[-1]["last"] if self._shards else None
        self._open: _OpenShard | None = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._open is not None:  # a shard that is not whole never appears
            self._open.abandon()
            self._open = None

    def is_done(self, name: str) -> bool:
        """Whether the folder is past this name."""
        return self._last is not None and name <= self._last

    def put(self, payload: Payload) -> Path:
        """Adds a pair and returns the path of its shard, which appears when it is full.

        Raises UsageError for a name that is not behind the last one.
        """
        payload = payload.beside()
        if self.is_done(payload.name):
            raise UsageError(
                f"{payload.name} comes after {self._last}, but shards are sorted; sort the names."
            )
        data = payload.image_bytes()
        if self._open is None:
            self._open = _OpenShard(self.folder / f"shard-{len(self._shards):05}.tar")
        self._open.add(payload.name + payload.suffix, data)
        self._open.add(payload.name + ".json", document_bytes(payload.info, payload.records))
        self._open.count(payload.name, len(payload.records))
        self._last = payload.name
        path = self._open.path
        if self._open.bytes >= self._limit:
            self._finish_shard()
        return path

    def close(self) -> None:
        """Finish the last shard and the manifest."""
        if self._open is not None:
            self._finish_shard()
        elif not self._shards:
            self._write_manifest()

    def _finish_shard(self) -> None:
        assert self._open is not None
        self._shards.append(self._open.finish())
        self._open = None
        self._write_manifest()

    def _write_manifest(self) -> None:
        value = {"format": _FORMAT, "version": 1, "shards": self._shards}
        write_json(self.folder / MANIFEST, value, indent=1)


def read_manifest(folder: str | Path) -> list[dict[str, Any]]:
    """The shards that a folder's manifest lists. Raises FormatError where it is broken."""
    path = Path(folder) / MANIFEST
    try:
        value = parse_json(path.read_bytes())
    except OSError as error:
        raise FormatError(f"Cannot read {path}: {error.strerror}.") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT or value.get("version") != 1:
        raise FormatError(f"{path} is not the manifest of a store; look for the right folder.")
    shards = value.get("shards")
    if not isinstance(shards, list) or not all(map(_is_sound, shards)):
        raise FormatError(f"{path} is damaged; restore it from a copy or write the store again.")
    return shards


def verify_shards(folder: str | Path) -> list[tuple[str, str]]:
    """Compare all shards with the manifest; returns (file, sentence) of those that differ."""
    differ = []
    for shard in read_manifest(folder):
        path = Path(folder) / shard["file"]
        try:
            same = sha256_of(path) == shard["sha256"]
        except SamkitError as error:
            differ.append((shard["file"], str(error)))
            continue
        if not same:
            differ.append((shard["file"], f"{path} was changed or damaged; copy it again."))
    return differ


def _is_sound(shard: Any) -> bool:
    return (
        isinstance(shard, dict)
        and all(type(shard.get(key)) is kind for key, kind in _KEYS.items())
        and all(isinstance(shard.get(key), str) for key in ("first", "last"))
        and Path(shard["file"]).name == shard["file"]
    )


class _OpenShard:
    """A tar that is being written under a temporary name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._names: list[str] = []
        self._records = 0
        self._stack = contextlib.ExitStack()
        file: IO[bytes] = self._stack.enter_context(atomic_write(path))
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)  # owner, time and mode stay the same everywhere
        member.size = len(data)
        with writing(self.path):
            self._tar.addfile(member, BytesIO(data))
        self.bytes += len(data)

    def count(self, name: str, records: int) -> None:
        self._names.append(name)
        self._records += records

    def finish(self) -> dict[str, Any]:
        """Close it, let it appear, and return its entry in the manifest."""
        with writing(self.path):
            self._tar.close()
        self._stack.close()
        return {
            "file": self.path.name,
            "sha256": sha256_of(self.path),
            "bytes": self.path.stat().st_size,
            "pairs": len(self._names),
            "records": self._records,
            "first": self._names[0],
            "last": self._names[-1],
        }

    def abandon(self) -> None:
        """Leave nothing behind."""
        error = InterruptedError()
        with contextlib.suppress(InterruptedError):
            self._stack.__exit__(InterruptedError, error, None)
