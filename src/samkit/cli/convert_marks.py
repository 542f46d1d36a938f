"""Of what each output of `samkit convert` was made, so that a later run finds what has changed.

OUT/.samkit/converted/NAME.json holds a hash of the pair that was converted: its records and size,
and its image, by content where it lies inside another file, else by place, size and time.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from samkit.datasets.document import document_bytes
from samkit.datasets.pairs import MAX_IMAGE_BYTES, Blob, MemoryBlob, Pair
from samkit.errors import FormatError
from samkit.files import OWN_FOLDER, write_json


class Marks:
    """The marks in an output folder; names are those of the outputs."""

    def __init__(self, folder: Path) -> None:
        """folder: OUT; nothing is made before a mark is set."""
        self._folder = folder / OWN_FOLDER / "converted"

    def has(self, name: str, mark: str) -> bool:
        """Whether an output was made of what `mark_of` says."""
        try:
            return json.loads(self._path(name).read_bytes()) == {"made_of": mark}
        except (OSError, ValueError):
            return False

    def remove(self, name: str) -> None:
        """To be done before an output is written over."""
        with suppress(FileNotFoundError):
            self._path(name).unlink()

    def set(self, name: str, mark: str) -> None:
        """To be done when an output is whole."""
        write_json(self._path(name), {"made_of": mark})

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def mark_of(pair: Pair) -> str:
    """A hash of all that a conversion makes of a pair. Raises FormatError for a missing image."""
    digest = hashlib.sha256(document_bytes(pair.info, pair.records))
    source = pair.source
    if isinstance(source, MemoryBlob):
        digest.update(source.read(MAX_IMAGE_BYTES))
    elif isinstance(source, Blob):
        try:
            about = os.stat(source.path)
        except OSError as error:
            raise FormatError(f"Cannot read {source}: {error.strerror}.") from error
        place = os.fsencode(os.path.abspath(source.path))
        part = (source.offset, source.size, about.st_size, about.st_mtime_ns)
        digest.update(place + repr(part).encode())
    else:
        digest.update(source.tobytes())
    return digest.hexdigest()
