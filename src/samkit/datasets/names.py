"""Names of outputs: for each photograph one of its own, the same on every run."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_UNFIT = re.compile(r"[\x00-\x1f\x7f:\\\ud800-\udfff]")


def output_names(images: Sequence[Path], arguments: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A name without suffix for the output of each image.

    images: photographs. arguments: the files and folders they were found under.
    The name is the path below the argument's folder, or the file's own; "/" between folders, with
    characters that other systems refuse replaced by "_". Where two images would share a name, or
    one would be the folder of another, the suffix is added (x_png), and if that is not enough, a
    hash of the image's place.
    """
    folders = [Path(argument) for argument in arguments if Path(argument).is_dir()]
    relative = [_below(image, folders) for image in images]
    names = [_fit(path.with_suffix("")) for path in relative]
    clashing = _clashes(names)
    for place, path in enumerate(relative):
        if place in clashing:
            names[place] = _fit(path.with_name(f"{path.stem}_{path.suffix[1:].lower()}"))
    for place in _clashes(names):
        where = os.fsencode(images[place].absolute())
        names[place] += f"-{hashlib.sha256(where).hexdigest()[:8]}"
    return names


def _below(image: Path, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if image.is_relative_to(folder):
            return image.relative_to(folder)
    return Path(image.name)


def _fit(path: Path) -> str:
    return _UNFIT.sub("_", path.as_posix())


def _clashes(names: Sequence[str]) -> set[int]:
    """Places of names that are not alone, on systems that ignore case too."""
    lower = [name.lower() for name in names]
    count = Counter(lower)
    folders = {lower_name[:cut] for lower_name in lower for cut in _slashes(lower_name)}
    return {place for place, name in enumerate(lower) if count[name] > 1 or name in folders}


def _slashes(name: str) -> list[int]:
    return [place for place, character in enumerate(name) if character == "/"]
