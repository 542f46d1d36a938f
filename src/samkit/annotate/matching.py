"""Which of a project's images a dataset speaks of."""

import hashlib
import os
from collections import defaultdict
from pathlib import Path, PurePath, PurePosixPath

from sqlalchemy import select
from sqlalchemy.orm import Session

from samkit.annotate.tables import Image, Location
from samkit.datasets.pairs import MAX_IMAGE_BYTES, Blob, Pair
from samkit.errors import SamkitError


class Ambiguous(SamkitError):
    """Several images of the project may be meant."""


class Matcher:
    """Finds images by their content and, where that is not known, by their name."""

    def __init__(self, session: Session) -> None:
        """Reads what the project has; later images are not known to it."""
        self._by_hash = {
            sha256: id for id, sha256 in session.execute(select(Image.id, Image.sha256))
        }
        self._paths: dict[str, set[PurePath]] = defaultdict(set)
        self._by_file: dict[str, set[str]] = defaultdict(set)
        self._by_stem: dict[str, set[str]] = defaultdict(set)
        for image_id, path in session.execute(select(Location.image_id, Location.path)):
            place = Path(path)
            self._paths[image_id].add(place.with_suffix(""))
            self._by_file[place.name].add(image_id)
            self._by_stem[place.stem].add(image_id)

    @property
    def top(self) -> Path | None:
        """The folder of all photographs, if there are any."""
        folders = {path.parent for paths in self._paths.values() for path in paths}
        return Path(os.path.commonpath(folders)) if folders else None

    def find(self, pair: Pair) -> str | None:
        """The id of a pair's image, or None where the project has no such image.

        Raises Ambiguous as `find_by_name`, FormatError where the dataset's file cannot be read.
        """
        if isinstance(pair.source, Blob):
            sha256 = hashlib.sha256(pair.source.read(MAX_IMAGE_BYTES)).hexdigest()
            if sha256 in self._by_hash:
                return self._by_hash[sha256]
        return self.find_by_name(pair)

    def find_by_name(self, pair: Pair) -> str | None:
        """As `find`, by name alone: the file's, or the pair's own without suffix.

        Among several images of the name it is the one in folders of the same names. Raises
        Ambiguous where that leaves more than one.
        """
        stem = PurePosixPath(pair.name)
        found = self._by_file.get(pair.info.file_name) or self._by_stem.get(stem.name, set())
        if len(found) > 1 and len(stem.parts) > 1:
            found = {image_id for image_id in found if self._lies_at(image_id, stem)} or found
        if len(found) > 1:
            raise Ambiguous(
                f"{len(found)} images of the project are called {pair.info.file_name}, and none "
                "has the content of the dataset's."
            )
        return next(iter(found), None)

    def folders(self, name: str) -> set[Path]:
        """The folders from which a pair's name leads to an image of the project."""
        stem = PurePosixPath(name)
        return {
            Path(path.parents[len(stem.parts) - 1])
            for image_id in self._by_stem.get(stem.name, ())
            for path in self._paths[image_id]
            if path.parts[-len(stem.parts) :] == stem.parts
        }

    def _lies_at(self, image_id: str, name: PurePosixPath) -> bool:
        length = len(name.parts)
        return any(path.parts[-length:] == name.parts for path in self._paths[image_id])
