"""A dataset that brings no images: they are the project's own, in whichever folders they lie."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from samkit.annotate.matching import Ambiguous, Matcher
from samkit.datasets.pairs import Pair, PairReader
from samkit.errors import SamkitError


class Gathered:
    """The pairs of a dataset, each with its image from a folder of the project's photographs.

    The folder of all of them comes first, since names may begin there; then each folder that has
    images of the names that are missing still. Two images of one name are told apart by nothing
    here, so that such a pair is named in `broken`, as all is that was left out.
    """

    def __init__(self, read: Callable[[Path | None], PairReader], matcher: Matcher) -> None:
        """read: gives a reader of the dataset with its images in a folder. Raises what it raises.

        matcher: of a project that has photographs.
        """
        self._read, self._matcher = read, matcher
        self._first = read(matcher.top)
        self._found: set[str] = set()
        self._elsewhere: dict[str, str] = {}
        """What the readers of other folders left out."""
        self._refused: dict[str, str] = {}
        """Pairs whose image is there, and the sentence that says why they are not taken."""

    @property
    def broken(self) -> dict[str, str]:
        """Name and sentence of everything left out so far."""
        named = self._elsewhere | dict(self._first.broken) | self._refused
        return {name: sentence for name, sentence in named.items() if name not in self._found}

    def __len__(self) -> int:
        names = set(self._first.names)
        return len(names.union(*self._folders().values()))

    def __iter__(self) -> Iterator[Pair]:
        self._found.clear()
        for pair in self._first:
            self._found.add(pair.name)
            yield pair
        for folder, names in self._folders().items():
            if not names <= self._found:
                yield from self._from(folder, names)

    def _folders(self) -> dict[Path, set[str]]:
        """Other folders and which of the missing names lead to an image there; most names first."""
        folders: dict[Path, set[str]] = defaultdict(set)
        for name, _ in self._first.broken:
            for folder in self._matcher.folders(name) - {self._matcher.top}:
                folders[folder].add(name)
        return dict(sorted(folders.items(), key=lambda item: (-len(item[1]), item[0])))

    def _from(self, folder: Path, wanted: set[str]) -> Iterator[Pair]:
        """What is missing and can be read with the images of a folder; `wanted` should be."""
        reader = self._read(folder)
        for name in reader.names:
            if name in self._found:
                continue
            try:
                pair = reader[name]
                self._matcher.find_by_name(pair)
            except SamkitError as error:
                if name in wanted or isinstance(error, Ambiguous):
                    self._refused[name] = str(error)
                continue
            self._found.add(name)
            yield pair
        self._elsewhere |= dict(reader.broken)
