"""The store: NAME.jpg beside NAME.json, in a folder or in tar shards.

Everything that makes masks writes through this writer, everything that learns reads through this
reader.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from samkit.datasets.document import (
    MAX_JSON_BYTES,
    document_bytes,
    parse_document,
    starts_like_document,
)
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.payload import Payload
from samkit.datasets.shards import MANIFEST, read_manifest
from samkit.datasets.tars import list_tar
from samkit.datasets.writing import PairWriter, copy_image
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write
from samkit.images import SUFFIXES

_HEAD = 64


class StoreReader(PairReader):
    """Reads a store: a folder of pairs with all its subfolders, a folder of tars, or one tar.

    Pairs come sorted by name; of a folder of tars, tar by tar and sorted in each.
    """

    def __init__(self, path: str | Path, *, images: str | Path | None = None) -> None:
        """path: the store. images: where the images lie if not beside their JSON: a folder with
        the same subfolders, in which each has the `file_name` of its document.

        Raises UsageError where there is no such folder or file, FormatError for a manifest that is
        broken.
        """
        super().__init__()
        self.path = Path(path)
        self._files: dict[str, tuple[Blob, list[Blob]]] = {}
        self._images = None if images is None else Path(images)
        self._tars = _tars_of(self.path)
        self._in_tars = bool(self._tars) or (self.path / MANIFEST).exists()
        self._listed: list[list[str]] = []
        if self._images is not None and (self._in_tars or not self._images.is_dir()):
            raise UsageError(f"{images} cannot hold the images of {path}; name a folder of both.")

    def _iterate_names(self) -> Iterator[str]:
        for place in range(len(self._tars) if self._in_tars else 1):
            if place == len(self._listed):  # each tar is listed when its turn comes, and only once
                self._listed.append(self._list_tar(place) if self._in_tars else self._list_folder())
            yield from self._listed[place]

    def _list_folder(self) -> list[str]:
        self._files = _match(_files_in(self.path))
        return sorted(self._files)

    def _list_tar(self, place: int) -> list[str]:
        tar, names = self._tars[place], []
        try:
            members, refused = list_tar(tar)
        except FormatError as error:
            self._note(str(tar), str(error))
            return []
        for name, sentence in refused:
            self._note(name, sentence)
        for name, files in sorted(_match(members).items()):
            if name in self._files:
                self._note(f"{tar}:{name}", f"{name} is in an earlier tar too; that one counts.")
            else:
                self._files[name] = files
                names.append(name)
        return names

    def _load(self, name: str) -> Pair:
        file, candidates = self._files[name]
        try:
            document = parse_document(file.read(MAX_JSON_BYTES))
        except FormatError as error:
            raise FormatError(f"{file}: {error}") from error
        for place, sentence in document.broken:
            self._note(f"{name} {place}", f"{file}: {sentence}")
        if self._images is not None:
            elsewhere = self._images / PurePosixPath(name).parent / document.image.file_name
            candidates = [Blob(elsewhere)] if elsewhere.is_file() else []
        if not candidates:
            raise FormatError(
                f"{file} has no image beside it; copy {document.image.file_name} there."
            )
        named = [blob for blob in candidates if blob.file_name == document.image.file_name]
        return Pair(name, document.image, document.records, (named or candidates)[0])


class StoreWriter(PairWriter):
    """Writes pairs into a folder, each file whole or not at all."""

    def __init__(self, folder: str | Path, *, copy_images: bool = True) -> None:
        """folder: is made where it is missing. copy_images: whether an image file is copied beside
        its JSON, byte for byte, or stays where it is; an image that comes as an array is written in
        any case.
        """
        super().__init__(folder)
        self._copy = copy_images
        self._sources: dict[str, str] = {}

    def put(self, payload: Payload) -> Path:
        """Writes a pair and returns the path of its JSON, which appears last.

        Raises UsageError for a name that two images share, and where another tool's JSON or another
        image stands.
        """
        path = self.folder / (payload.name + ".json")
        self._claim(payload, path)
        if self._copy or not isinstance(payload.image, Blob):
            payload = payload.beside()
            target = path.with_name(payload.info.file_name)
            copy_image(payload, target, ours=path.exists())
        with atomic_write(path) as file:
            file.write(document_bytes(payload.info, payload.records))
        return path

    def _claim(self, payload: Payload, path: Path) -> None:
        source = str(payload.image) if isinstance(payload.image, Blob) else f"array {payload.name}"
        if self._sources.setdefault(payload.name, source) != source:
            raise UsageError(
                f"{source} and {self._sources[payload.name]} would both be written as "
                f"{payload.name}; give them different names."
            )
        if path.exists() and not is_store_json(path):
            raise UsageError(f"{path} is not a file of a store; choose another folder.")


def is_store_json(path: str | Path) -> bool:
    """Whether a file is there and begins as the JSON of a pair does."""
    try:
        with open(path, "rb") as file:
            return starts_like_document(file.read(_HEAD))
    except OSError:
        return False


def _tars_of(path: Path) -> list[Path]:
    """The tars of a store; none where it is a folder of pairs."""
    if path.is_file() and path.suffix == ".tar":
        return [path]
    if not path.is_dir():
        raise UsageError(
            f"There is no store at {path}: name a folder, or a file that ends in .tar."
        )
    if (path / MANIFEST).exists():
        return [path / shard["file"] for shard in read_manifest(path)]
    return sorted(path.glob("*.tar"))


def _files_in(folder: Path) -> dict[str, Blob]:
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            path = Path(place, file)
            if not file.startswith(".") and path.suffix.lower() in SUFFIXES | {".json"}:
                found[path.relative_to(folder).as_posix()] = Blob(path)
    return found


def _match(files: Mapping[str, Blob]) -> dict[str, tuple[Blob, list[Blob]]]:
    """By pair: the JSON, and the images that share its name."""
    images: dict[str, list[Blob]] = {}
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.suffix.lower() in SUFFIXES:
            images.setdefault(path.with_suffix("").as_posix(), []).append(files[name])
    stems = {name.removesuffix(".json"): files[name] for name in files if name.endswith(".json")}
    return {stem: (blob, images.get(stem, [])) for stem, blob in stems.items()}
