"""WebDataset: tars in which KEY.jpg and KEY.json make a sample; the JSON is SA-1B's.

They are the shards of a store (see `shards`) but for their names, which have no dots: a WebDataset
ends a key at its first one. So "." is written "%2E" in them, and "%" as "%25".
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from samkit.datasets.joining import JoiningWriter, is_part_joined
from samkit.datasets.pairs import Pair, PairReader
from samkit.datasets.payload import Payload
from samkit.datasets.shards import MANIFEST, ShardWriter
from samkit.datasets.store import StoreReader

SHARDS = "shards"
PARTS = ".parts-webdataset"


class WebdatasetWriter(JoiningWriter):
    """Writes OUT/shards/shard-00000.tar, …, and manifest.json; use it in a `with` block.

    Nothing of a record is lost.
    """

    def __init__(self, folder: str | Path, *, shard_bytes: int = 1 << 30) -> None:
        """folder: OUT. shard_bytes: a shard ends once it is this large."""
        super().__init__(folder, parts=PARTS, joined=SHARDS, mark=MANIFEST)
        self._limit = shard_bytes

    def put(self, payload: Payload) -> Path:
        """Keeps an image and its records as a part."""
        return super().put(replace(payload, name=key_of(payload.name)))

    def open_joined(self, folder: Path) -> PairReader:
        """A reader of the shards."""
        return StoreReader(folder)

    def join(self, folder: Path, payloads: Iterable[Payload]) -> None:
        """Write the shards."""
        with ShardWriter(folder, shard_bytes=self._limit) as writer:
            for payload in payloads:
                writer.put(payload)


class WebdatasetReader(StoreReader):
    """Reads what `WebdatasetWriter` has written into OUT; pairs have their own names again."""

    def __init__(self, folder: str | Path, *, images: str | Path | None = None) -> None:
        """folder: OUT. images: must be None, for they lie inside. Raises as `StoreReader` does."""
        super().__init__(Path(folder) / SHARDS, images=images)
        self._keys: dict[str, str] = {}

    def _iterate_names(self) -> Iterator[str]:
        for key in super()._iterate_names():
            name = _name_of(key)
            self._keys[name] = key
            yield name

    def _load(self, name: str) -> Pair:
        return replace(super()._load(self._keys[name]), name=name)


def is_webdataset_done(folder: str | Path, name: str) -> bool:
    """Whether an image's sample is kept in OUT already."""
    return is_part_joined(Path(folder), PARTS, SHARDS, MANIFEST, key_of(name))


def key_of(name: str) -> str:
    """The key of a pair, without a dot; no two names have the same."""
    return name.replace("%", "%25").replace(".", "%2E")


def _name_of(key: str) -> str:
    return key.replace("%2E", ".").replace("%25", "%")
