"""The labelled photographs of a run, by source, with some kept aside."""

import contextlib
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samkit.datasets.pairs import Blob, Pair, PairReader, source_of
from samkit.datasets.records import Record, measured
from samkit.errors import FormatError, SamkitError, UsageError

COUNTED = 32
"""Images of a source whose masks are counted, to estimate those of all."""
CACHE_BYTES = 2 << 30
"""Decoded images are kept in memory up to this size, the rest are decoded each time."""


@dataclass(frozen=True)
class Photo:
    """One labelled photograph: H x W x 3 uint8 and its SA-1B annotations, none of them empty;
    areas and boxes are those of the masks."""

    source: str
    name: str
    image: np.ndarray
    annotations: Sequence[Record]


@dataclass(frozen=True)
class Place:
    """Where a photograph lies among the datasets."""

    reader: int
    source: str
    name: str


class Photographs:
    """All photographs of some datasets; what is broken is named in `broken` and left out.

    The first folder of a pair's name is its source; a pair that lies in none belongs to its
    dataset's own.
    """

    def __init__(
        self,
        datasets: Sequence[tuple[str, PairReader]],
        held_out: float = 0.0,
        cache_bytes: int = CACHE_BYTES,
        *,
        synthetic: PairReader | None = None,
    ) -> None:
        """datasets: name and reader of each. synthetic: scenes that are learned from as well, as a
            source of that name, and never kept aside.
        held_out: the share kept aside, chosen by a hash of source and name: it stays the same
            whatever else is added.
        Raises UsageError where nothing is left to train on.
        """
        everything = [(name, reader, held_out) for name, reader in datasets]
        if synthetic is not None:
            everything.append(("synthetic", synthetic, 0.0))
        self._names = [name for name, _, _ in everything]
        self._readers = [reader for _, reader, _ in everything]
        self._cache: dict[Place, Photo] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()
        self._broken: dict[str, str] = {}
        self.sources: dict[str, list[Place]] = {}
        self.kept_aside: list[Place] = []
        for number, (own, reader, share) in enumerate(everything):
            for name in reader.names:
                source = source_of(name, own)
                place = Place(number, source, name)
                if is_held_out(source, name.split("/")[-1], share):
                    self.kept_aside.append(place)
                else:
                    self.sources.setdefault(source, []).append(place)
        if not self.sources:
            raise UsageError(
                "There are no labelled images in "
                + ", ".join(name for name, _ in datasets)
                + "; name stores, COCO files or folders of masks."
            )

    @property
    def broken(self) -> dict[str, str]:
        """What was left out so far, images and single masks, and why."""
        with self._lock:
            named = dict(self._broken)
        for own, reader in zip(self._names, self._readers, strict=True):
            named |= {f"{own}/{name}": sentence for name, sentence in reader.broken}
        return named

    def __len__(self) -> int:
        return sum(len(places) for places in self.sources.values())

    def sizes(self, counted_in: str) -> list[float]:
        """The size of each of `sources`: its `images`, or its `masks` as estimated from `COUNTED`
        of its images, which lie evenly among all."""
        size_of = {"images": len, "masks": self._masks_of}[counted_in]
        return [float(size_of(places)) for places in self.sources.values()]

    def _masks_of(self, places: Sequence[Place]) -> float:
        some = [places[i * len(places) // COUNTED] for i in range(COUNTED)]
        some = list(dict.fromkeys(some))
        found = 0
        for place in some:
            with contextlib.suppress(SamkitError):  # broken ones are named where they are read
                found += len(self._readers[place.reader][place.name].records)
        return len(places) * max(found, 1) / len(some)

    def read(self, place: Place) -> Photo | None:
        """A photograph of `sources` or `kept_aside`; None, and named, where it is broken."""
        photo = self._cache.get(place)
        if photo is not None:
            return photo
        key = f"{place.source}/{place.name.split('/')[-1]}"
        try:
            pair = self._readers[place.reader][place.name]
            photo = Photo(place.source, key, pair.image(), self._measured(key, pair))
        except SamkitError as error:
            with self._lock:
                self._broken[key] = str(error)
            return None
        with self._lock:
            from_file = isinstance(pair.source, Blob)  # synthetic scenes are painted anew
            if from_file and photo.image.nbytes <= self._room and place not in self._cache:
                self._room -= photo.image.nbytes
                self._cache[place] = photo
        return photo

    def _measured(self, name: str, pair: Pair) -> list[Record]:
        """The records of a pair, measured by their masks; empty ones are named and left out."""
        found = []
        for index, record in enumerate(pair.records):
            try:
                found.append(measured(record))
            except FormatError as error:
                with self._lock:
                    self._broken[f"{name} annotation {index}"] = str(error)
        return found


def is_held_out(source: str, name: str, share: float) -> bool:
    """Whether an image is kept aside: the hash of its name falls into the first `share` of all.

    Not of the name alone: where that had split the data before, all of one part would lie above.
    """
    digest = hashlib.sha256(f"kept aside: {source}/{name}".encode()).digest()
    return int.from_bytes(digest[:4]) < share * 2**32
