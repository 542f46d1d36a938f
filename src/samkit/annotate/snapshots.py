"""Snapshots: the project's masks at one moment as an immutable store, named by its content.

    snapshots/HASH/NAME.jpg, NAME.json    the store
    snapshots/HASH/.snapshot.json         every file with its SHA-256; HASH is that of this list

The same images and masks give the same HASH, on every machine and on every day.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import select

from samkit.annotate.indexing import file_of
from samkit.annotate.operations import instances_of
from samkit.annotate.project import Project
from samkit.annotate.tables import Image
from samkit.datasets.document import image_id_of, is_plain_name
from samkit.datasets.records import Record, from_mask
from samkit.datasets.store import StoreWriter
from samkit.errors import UsageError
from samkit.files import sha256_of, write_json
from samkit.masks import rle

LIST = ".snapshot.json"
"""Name of the list of files; readers of stores pass it over."""

DONE = ("submitted", "accepted")
"""Images in these states are taken."""

_ID_BITS = 20  # of a mask's number within its image; an image's own number has 40 bits, cut to 32
_KEPT = ("id", "editor", "labels", "stage", "prompts", "model", "seconds")


@dataclass(frozen=True)
class Snapshot:
    """What was written."""

    folder: Path
    images: int
    masks: int

    @property
    def hash(self) -> str:
        """SHA-256 over the list of files."""
        return self.folder.name


@dataclass(frozen=True)
class _Taken:
    name: str
    path: Path
    size: tuple[int, int]
    instances: list[dict[str, Any]]


def write_snapshot(
    project: Project,
    states: Sequence[str] = DONE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Snapshot:
    """Write the masks of all images in some states, with copies of the images.

    All masks are read in one transaction. Raises UsageError where no image is in these states,
    NotFound where an image's file is gone.
    """
    taken = _take(project, states)
    if not taken:
        raise UsageError(f"There is nothing to write: no image is {' or '.join(states)} yet.")
    project.snapshots.mkdir(parents=True, exist_ok=True)
    fresh = project.snapshots / f".samkit-{secrets.token_hex(8)}.tmp"
    try:
        with StoreWriter(fresh) as writer:
            for number, image in enumerate(taken):
                progress(number, len(taken))
                writer.write(image.path, _records(image), name=image.name, size=image.size)
        files = {path.name: sha256_of(path) for path in sorted(fresh.iterdir())}
        text = json.dumps(files, separators=(",", ":"), ensure_ascii=False)
        target = project.snapshots / hashlib.sha256(text.encode()).hexdigest()
        write_json(fresh / LIST, files, 1)
        if not target.exists():
            os.rename(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    progress(len(taken), len(taken))
    return Snapshot(target, len(taken), sum(len(image.instances) for image in taken))


def _take(project: Project, states: Sequence[str]) -> list[_Taken]:
    with project.database.read() as session:
        query = select(Image).where(Image.state.in_(states)).order_by(Image.sha256)
        images = list(session.scalars(query))
        names = _names(images)
        return [
            _Taken(
                name,
                file_of(session, image),
                (image.height, image.width),
                instances_of(session, image.id),
            )
            for image, name in zip(images, names, strict=True)
        ]


def _names(images: Sequence[Image]) -> list[str]:
    """For each image its file's stem, with a part of its hash where that is not its own."""
    stems = [_fit(PurePosixPath(image.name).stem) for image in images]
    count = Counter(stem.lower() for stem in stems)
    return [
        stem if count[stem.lower()] == 1 else f"{stem}-{image.sha256[:8]}"
        for image, stem in zip(images, stems, strict=True)
    ]


def _fit(stem: str) -> str:
    fitting = "".join("_" if not is_plain_name(c) and c != "." else c for c in stem)
    return fitting.lstrip(".")[:200] or "image"


def _records(image: _Taken) -> list[Record]:
    first = (image_id_of(image.name) & 0xFFFFFFFF) << _ID_BITS
    return [_record(instance, first + number) for number, instance in enumerate(image.instances)]


def _record(instance: dict[str, Any], number: int) -> Record:
    """A record; what an import kept aside comes back where the mask is still the imported one."""
    score = instance["predicted_iou"]
    source = instance.get("source") or {}
    stability: Any = source.get("stability_score")
    record = from_mask(
        rle.decode(instance["rle"]),
        number,
        predicted_iou=1.0 if score is None else score,
        stability_score=float(stability) if _is_score(stability) else 1.0,
        point_coords=[
            [prompt["x"], prompt["y"]]
            for prompt in instance["prompts"]
            if isinstance(prompt, dict)
            and prompt.get("kind") == "point"
            and all(type(prompt.get(axis)) in (int, float) for axis in "xy")
        ],
        samkit={name: instance[name] for name in _KEPT} | ({"source": source} if source else {}),
    )
    box = source.get("crop_box")
    if isinstance(box, list) and len(box) == 4 and all(map(_is_score, box)):
        record["crop_box"] = [float(side) for side in box]
    return record


def _is_score(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1 << 53
