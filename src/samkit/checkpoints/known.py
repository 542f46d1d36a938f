"""The weights that samkit knows by name, and where they lie on this machine.

Sizes and hashes of the published files were confirmed by several unrelated public projects that
check them. Nothing here imports torch, so that listing models stays quick.
"""

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from samkit.files import cache_folder

BUNDLED = Path(__file__).resolve().parent.parent / "assets" / "default.safetensors"
"""The small default model, which comes inside the package."""

_LONGEST_HEADER = 16 << 20

_OFFICIAL = "https://dl.fbaipublicfiles.com/segment_anything/"
_PAPER = "of the paper (Kirillov et al., 2023), trained on SA-1B"


@dataclass(frozen=True)
class KnownCheckpoint:
    """A published weight file."""

    name: str
    file: str
    bytes: int
    sha256: str
    url: str
    licence: str
    description: str

    @property
    def path(self) -> Path:
        """Where the file belongs in the user's cache, whether it is there or not."""
        return cache_folder() / "checkpoints" / self.file

    @property
    def part(self) -> Path:
        """Where an unfinished download of it waits to be resumed."""
        return self.path.with_name(self.file + ".part")

    @property
    def cached(self) -> bool:
        """Whether the file is in the cache, by its size; its hash is checked on the way in."""
        return _size_of(self.path) == self.bytes


@dataclass(frozen=True)
class ModelStatus:
    """One line of `samkit models`."""

    name: str
    size: int
    """Bytes of the whole file; 0 where it is not known."""
    cached: bool
    path: Path
    licence: str
    """In a few words; "" where it is not known."""
    description: str
    partial: int = 0
    """Bytes of an unfinished download, which `samkit models download` resumes."""


def _official(name: str, file: str, size: int, sha256: str, description: str) -> KnownCheckpoint:
    return KnownCheckpoint(
        name, file, size, sha256, _OFFICIAL + file, "Apache-2.0", f"{description} {_PAPER}"
    )


KNOWN: dict[str, KnownCheckpoint] = {
    known.name: known
    for known in (
        _official(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "ViT-B, 94 M parameters,",
        ),
        _official(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "ViT-L, 312 M parameters,",
        ),
        _official(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "ViT-H, 641 M parameters,",
        ),
    )
}


def status() -> list[ModelStatus]:
    """What `samkit.load` knows by name, the bundled model first, and what of it is here."""
    size = _size_of(BUNDLED)
    bundled = ModelStatus(
        "default",
        size,
        size > 0,
        BUNDLED,
        _licence_of(BUNDLED),
        "the small model that comes with samkit: a start, no rival of the published weights",
    )
    published = (
        ModelStatus(
            known.name,
            known.bytes,
            known.cached,
            known.path,
            known.licence,
            known.description,
            _size_of(known.part),
        )
        for known in KNOWN.values()
    )
    return [bundled, *published]


def by_hand(known: KnownCheckpoint) -> str:
    """What to do where there is no network: the end of a sentence."""
    return (
        f"fetch {known.url} on another machine and put it at {known.path} "
        f"({known.bytes:,} bytes, SHA-256 {known.sha256})"
    )


def _licence_of(path: Path) -> str:
    """How the licence begins that one of our own files names in its metadata; "" if none does.

    The library that reads these files would import torch; the header is JSON after its length.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        licence = json.loads(header["__metadata__"]["samkit"])["provenance"]["licence"]
        return re.split(r"[:.] ", licence, maxsplit=1)[0]
    except (OSError, ValueError, LookupError, TypeError, struct.error, RecursionError):
        return ""


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
