"""Files that hold many images, made of parts, so that nothing is lost on the way.

Each image and its records first go into a store of their own, OUT/.parts-FORMAT/NAME.jpg and .json.
At the end all of them, and what an earlier run has joined, are put together anew, and only then are
the images of the parts deleted. The JSONs stay, for they say which images are done. A run that was
killed has its parts, and a later one adds to them.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from samkit.datasets.pairs import Pair, PairReader
from samkit.datasets.payload import Payload, payload_of
from samkit.datasets.store import StoreReader, StoreWriter, is_store_json
from samkit.datasets.whole_folder import restore, whole_folder
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError
from samkit.files import writing
from samkit.images import SUFFIXES


class JoiningWriter(PairWriter):
    """Writes one folder in OUT with the images and masks of all; use it in a `with` block."""

    def __init__(self, folder: str | Path, *, parts: str, joined: str, mark: str) -> None:
        """folder: OUT. parts, joined: names of folders in it. mark: a file by which a joined folder
        is known to be ours.
        """
        super().__init__(folder)
        self._parts = StoreWriter(self.folder / parts)
        self._joined, self._mark = self.folder / joined, mark
        restore(self._joined, mark=mark)

    def put(self, payload: Payload) -> Path:
        """Keeps an image and its records as a part."""
        return self._parts.put(payload)

    def close(self) -> None:
        """Join all parts.

        Raises FormatError where a part, or what was joined before, is broken; nothing is changed
        then. Raises SamkitError where the disk is full.
        """
        with writing(self._joined), whole_folder(self._joined, mark=self._mark) as fresh:
            before = self.open_joined(self._joined) if self._joined.exists() else None
            self.join(fresh, self._pairs(before))
        for image in self._parts.folder.rglob("*"):
            if image.suffix.lower() in SUFFIXES and image.is_file():
                image.unlink()

    @abstractmethod
    def open_joined(self, folder: Path) -> PairReader:
        """A reader of all that `join` has written, crowd regions too."""

    @abstractmethod
    def join(self, folder: Path, payloads: Iterable[Payload]) -> None:
        """Write pairs, which come sorted by name, into an empty folder."""

    def _pairs(self, before: PairReader | None) -> Iterator[Payload]:
        """All pairs: where a part has its image still, it is newer than what was joined."""
        parts = StoreReader(self._parts.folder) if self._parts.folder.is_dir() else None
        names = {*(parts.names if parts else ()), *(before.names if before else ())}
        self._refuse_damage(before)
        for name in sorted(names):
            yield _payload(self._pair(name, parts, before))
        self._refuse_damage(before)

    def _refuse_damage(self, before: PairReader | None) -> None:
        """FormatError where something of what was joined would be missing when it is anew."""
        if before is not None and before.broken:
            raise FormatError(
                f"{self._joined} is damaged; restore it from a copy, or write all of it anew "
                f"elsewhere. ({before.broken[0][1]})"
            )

    def _pair(self, name: str, parts: StoreReader | None, before: PairReader | None) -> Pair:
        part = self._parts.folder / f"{name}.json"
        try:
            if parts is not None and name in parts and _has_image(part):
                return parts[name]
            if before is not None and name in before:
                return before[name]
        except FormatError as error:
            raise FormatError(f"{part} is damaged; delete it and run again. ({error})") from error
        raise FormatError(f"{part} has lost its image; delete it and run again.")


def is_part_joined(folder: Path, parts: str, joined: str, mark: str, name: str) -> bool:
    """Whether an image's masks are kept in OUT: as a whole part, or joined already."""
    part = folder / parts / f"{name}.json"
    return is_store_json(part) and (_has_image(part) or (folder / joined / mark).is_file())


def _has_image(part: Path) -> bool:
    stem = part.name.removesuffix(".json")
    return any((part.parent / (stem + suffix)).exists() for suffix in SUFFIXES)


def _payload(pair: Pair) -> Payload:
    size, number = pair.info.size, pair.info.image_id
    return payload_of(pair.source, pair.records, name=pair.name, size=size, image_id=number)
