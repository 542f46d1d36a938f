"""What an output folder holds: of which photograph each output was made, and with what.

For each output there is a small hidden file, OUT/.samkit/FORMAT/NAME.json, written before the
output as a claim on its names and once more when the output is whole. So a later run knows which
images are done, and takes neither its own files for photographs, nor the output of another
image, of other settings or of another program for its own.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from samkit.files import OWN_FOLDER, sha256_of, write_json


@dataclass(frozen=True)
class Fingerprint:
    """What tells whether a photograph is still the same."""

    path: str
    bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True)
class Claim:
    """One output and what it was made of and with."""

    source: Fingerprint
    made_with: dict[str, Any]
    """JSON values, by which two runs are compared."""
    model: str
    """What the user called the model."""
    files: list[str]
    """All that the output may consist of, relative to the folder of outputs."""
    copy: str | None = None
    """Where a copy of the photograph is put, relative to the folder."""
    done: bool = False


class State(Enum):
    """What is to be done about an image."""

    TODO = "to be made"
    DONE = "made already"
    OTHER_SETTINGS = "made with other settings"
    OTHER_IMAGE = "made of another image"
    FOREIGN = "made by another program"


class Claims:
    """The claims on one folder for one format."""

    def __init__(self, folder: Path, format: str) -> None:
        """folder: need not exist yet; it is not made before something is written."""
        self.folder, self._own = folder, folder / OWN_FOLDER / format

    def find(self, name: str) -> Claim | None:
        """The claim on a name; None where there is none, or none that can be read."""
        return _read(self._own / f"{name}.json")

    def unclaimed(self, name: str, files: list[str]) -> list[str]:
        """Those of the files that are there, but not as the output of that name."""
        claim = self.find(name)
        ours = claim.files if claim is not None else []
        return [file for file in files if file not in ours and (self.folder / file).exists()]

    def state(
        self, name: str, image: Path, made_with: Mapping[str, Any], files: list[str], whole: bool
    ) -> State:
        """What is to be done about an image that would be written under a name.

        files: of which its output would consist. whole: whether its masks are all there.
        """
        claim = self.find(name)
        if not image.is_file():  # a link to nothing, which fails by name when its turn comes
            return State.TODO
        if self.unclaimed(name, files):
            return State.FOREIGN
        if claim is None or not claim.done or not whole:
            return State.TODO
        if not _unchanged(claim.source, image):
            same_place = claim.source.path == _place(image)
            return State.TODO if same_place else State.OTHER_IMAGE
        if claim.made_with != made_with:
            return State.OTHER_SETTINGS
        complete = all((self.folder / file).exists() for file in files)
        return State.DONE if complete else State.TODO

    def begin(
        self,
        name: str,
        image: Path,
        made_with: Mapping[str, Any],
        model: str,
        files: list[str],
        copy: str | None = None,
    ) -> Claim:
        """Claim a name, before anything is written under it.

        What an earlier output had beyond `files`, such as an overlay, would not fit and is removed.
        """
        before = self.find(name)
        for stale in set(before.files if before is not None else []) - set(files):
            with suppress(OSError):  # where it is gone already
                (self.folder / stale).unlink()
        claim = Claim(_fingerprint(image), dict(made_with), model, files, copy)
        self._write(name, claim)
        return claim

    def reopen(self, name: str, made_with: Mapping[str, Any], model: str, files: list[str]) -> None:
        """Have an output made anew, whatever stands there."""
        before = self.find(name)
        if before is None:
            before = Claim(Fingerprint("", 0, 0, ""), {}, model, [])
        kept = sorted({*files, *before.files})
        again = replace(before, made_with=dict(made_with), model=model, files=kept, done=False)
        self._write(name, again)

    def finish(self, name: str, claim: Claim) -> None:
        """Say that all is written."""
        self._write(name, replace(claim, done=True))

    def _write(self, name: str, claim: Claim) -> None:
        write_json(self._own / f"{name}.json", asdict(claim), indent=1)


class Outputs:
    """Which files are outputs of ours, and so no photographs."""

    def __init__(self) -> None:
        self._by_folder: dict[Path, list[Claim]] = {}
        self._files: dict[Path, set[Path]] = {}

    def contain(self, path: Path) -> bool:
        """Whether a folder above a file claims it, or a folder in which it lies."""
        place = Path(os.path.realpath(path))
        above = (place, *place.parents)
        return any(part in self._claimed(folder) for folder in place.parents for part in above)

    def copies_among(self, photographs: list[Path]) -> set[Path]:
        """Those that are copies which we made of others among them."""
        places = {os.path.realpath(path): path for path in photographs}
        folders = {folder for place in places for folder in Path(place).parents}
        copies = {
            os.path.realpath(folder / claim.copy)
            for folder in folders
            for claim in self._claims(folder)
            if claim.copy is not None and os.path.realpath(claim.source.path) in places
        }
        return {path for place, path in places.items() if place in copies}

    def _claimed(self, folder: Path) -> set[Path]:
        if folder not in self._files:
            files = (file for claim in self._claims(folder) for file in claim.files)
            self._files[folder] = {folder / file for file in files}
        return self._files[folder]

    def _claims(self, folder: Path) -> list[Claim]:
        if folder not in self._by_folder:
            claims = (_read(path) for path in (folder / OWN_FOLDER).rglob("*.json"))
            self._by_folder[folder] = [claim for claim in claims if claim is not None]
        return self._by_folder[folder]


def _read(path: Path) -> Claim | None:
    try:
        values = json.loads(path.read_bytes())
        return Claim(**{**values, "source": Fingerprint(**values["source"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fingerprint(image: Path) -> Fingerprint:
    stat = image.stat()
    return Fingerprint(_place(image), stat.st_size, stat.st_mtime_ns, sha256_of(image))


def _unchanged(source: Fingerprint, image: Path) -> bool:
    """By place, size and time where they agree, else by content."""
    stat = image.stat()
    if (source.path, source.bytes, source.modified_ns) == (
        _place(image),
        stat.st_size,
        stat.st_mtime_ns,
    ):
        return True
    return source.bytes == stat.st_size and source.sha256 == sha256_of(image)


def _place(image: Path) -> str:
    return os.fsencode(os.path.abspath(image)).decode("utf-8", "backslashreplace")
