"""A pair: an image and its records, wherever they lie; and what every reader of pairs shares."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samkit import images
from samkit.datasets.document import ImageInfo
from samkit.datasets.records import Record
from samkit.errors import FormatError, SamkitError
from samkit.masks import rle

MAX_IMAGE_BYTES = 1 << 30


@dataclass(frozen=True)
class Blob:
    """The bytes of a file: a whole one, or a part of a tar. Nothing is read before it is asked for.

    path: the file on the disk. offset, size: the part of it in bytes; size None for all of it.
    member: the name inside a tar.
    """

    path: Path
    offset: int = 0
    size: int | None = None
    member: str | None = None

    @property
    def file_name(self) -> str:
        """The last part of the name."""
        return os.path.basename(self.member or self.path)

    @property
    def suffix(self) -> str:
        """The suffix with its dot, in lower case."""
        return Path(self.file_name).suffix.lower()

    def is_file(self, path: Path) -> bool:
        """Whether this is the whole file at `path`, under whatever name."""
        return self.size is None and path.exists() and path.samefile(self.path)

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def read(self, limit: int) -> bytes:
        """All bytes. Raises FormatError where they are more than `limit` or fewer than promised."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size if self.size is None else self.size
                if size > limit:
                    raise FormatError(f"{self} is larger than {limit >> 20} MiB and is not read.")
                file.seek(self.offset)
                data = file.read(size)
        except OSError as error:
            reason = error.strerror or str(error)
            raise FormatError(f"Cannot read {self}: {reason}.") from error
        if len(data) != size:
            raise FormatError(f"{self} was cut short; copy or download it again.")
        return data

    def pixels(self) -> NDArray[np.uint8]:
        """Decode it as an image: (H, W, 3) uint8 RGB, upright. Raises ImageError, FormatError."""
        return images.read(self._named())

    def head(self) -> images.Head:
        """What its head says of it as an image. Raises ImageError, FormatError."""
        return images.head(self._named())

    def _named(self) -> "_NamedBytes":
        file = _NamedBytes(self.read(MAX_IMAGE_BYTES))
        file.name = str(self)
        return file


@dataclass(frozen=True)
class MemoryBlob(Blob):
    """The bytes of a file that lies inside another one in a form of its own, and was taken out.

    path: that other file. member: the name inside it.
    """

    data: bytes = field(default=b"", repr=False)

    def is_file(self, path: Path) -> bool:
        """Never: it is no file of its own."""
        return False

    def read(self, limit: int) -> bytes:
        """All bytes. Raises FormatError where they are more than `limit`."""
        if len(self.data) > limit:
            raise FormatError(f"{self} is larger than {limit >> 20} MiB and is not read.")
        return self.data


class _NamedBytes(BytesIO):
    """Bytes that errors can call by a name."""

    name: str


@dataclass(frozen=True)
class Pair:
    """One image with its records.

    name: relative path without suffix, "/" between folders. source: the image's file, or its pixels
    where it has none: (H, W, 3) uint8 RGB.
    """

    name: str
    info: ImageInfo
    records: list[Record] = field(repr=False)
    source: Blob | NDArray[np.uint8] = field(repr=False)

    def image(self) -> NDArray[np.uint8]:
        """Decode the image: (H, W, 3) uint8 RGB, upright.

        Raises ImageError where it cannot be read, FormatError where its size is not the records'.
        """
        if not isinstance(self.source, Blob):
            return self.source
        pixels = self.source.pixels()
        self._refuse_other_size(*pixels.shape[:2])
        return pixels

    def check_size(self) -> None:
        """Compare the size of the image, by its head, with that of the records.

        Raises FormatError where they differ, ImageError where it is no image.
        """
        if isinstance(self.source, Blob):
            self._refuse_other_size(*self.source.head().size)

    def _refuse_other_size(self, height: int, width: int) -> None:
        if (height, width) != self.info.size:
            raise FormatError(
                f"{self.source} has {width} x {height} pixels, but its records say "
                f"{self.info.width} x {self.info.height}; one of them was replaced."
            )

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Decode one record's mask: (H, W) bool."""
        return rle.decode(self.records[index]["segmentation"])

    def masks(self) -> NDArray[np.bool_]:
        """Decode all masks: (N, H, W) bool."""
        masks = np.zeros((len(self.records), *self.info.size), dtype=bool)
        for index in range(len(self.records)):
            masks[index] = self.mask(index)
        return masks


def source_of(name: str, dataset: str) -> str:
    """The source of a pair: the first folder of its name, or its dataset's own name."""
    return name.split("/", 1)[0] if "/" in name else dataset


class PairReader(ABC):
    """Pairs in a fixed order, by place or by name; pixels are decoded only when asked for.

    Going through it skips what is broken; `broken` names it. Asking for one pair that is broken
    raises the error instead. Readers hold no open files, so they may be sent to other processes.
    """

    def __init__(self) -> None:
        self._broken: dict[str, str] = {}
        self._names: list[str] | None = None
        self._places: dict[str, int] | None = None

    @property
    def broken(self) -> list[tuple[str, str]]:
        """(name, sentence) of everything left out so far, each once."""
        return list(self._broken.items())

    @property
    def names(self) -> list[str]:
        """The names of all pairs, in the reader's order."""
        if self._names is None:
            self._names = list(self._iterate_names())
        return self._names

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._place_of()

    def __getitem__(self, key: str | int) -> Pair:
        """A pair by name or place. Raises KeyError, IndexError, or the error of a broken pair."""
        name = self.names[key] if isinstance(key, int) else key
        if name not in self:
            raise KeyError(name)
        return self._load(name)

    def __iter__(self) -> Iterator[Pair]:
        for name in self._iterate_names() if self._names is None else self._names:
            try:
                pair = self._load(name)
            except SamkitError as error:
                self._note(name, str(error))
            else:
                yield pair

    def with_images(self) -> Iterator[tuple[Pair, NDArray[np.uint8]]]:
        """Go through the pairs with their images decoded; those that cannot be are skipped too."""
        for pair in self:
            try:
                pixels = pair.image()
            except SamkitError as error:
                self._note(pair.name, str(error))
            else:
                yield pair, pixels

    @abstractmethod
    def _iterate_names(self) -> Iterator[str]:
        """All names, once each, in order."""

    @abstractmethod
    def _load(self, name: str) -> Pair:
        """The pair of a name that `_iterate_names` gave, or a SamkitError."""

    def _note(self, name: str, sentence: str) -> None:
        self._broken[name] = sentence

    def _place_of(self) -> dict[str, int]:
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self.names)}
        return self._places
