"""The run behind `samkit convert`: image by image, each whole or not at all."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samkit.cli.convert_marks import Marks, mark_of
from samkit.cli.progress import Steps, steps
from samkit.datasets.document import parse_json
from samkit.datasets.formats import copy_of, holds_images, is_done, open_writer
from samkit.datasets.losses import loss_sentence
from samkit.datasets.opening import open_dataset
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError, ImageError, UsageError
from samkit.files import OWN_FOLDER, held, write_json

_FILE = "convert.json"


@dataclass(frozen=True)
class Job:
    """All that one run shall do."""

    datasets: list[Path]
    out: Path
    format: str
    from_format: str
    images: Path | None
    copy_images: bool

    def open(self) -> dict[str, PairReader]:
        """Readers by the folder into which each is written: its own where there are several."""
        readers = [
            open_dataset(path, format=self.from_format, images=self.images, keep_crowds=True)
            for path in self.datasets
        ]
        if len(readers) == 1:
            return {"": readers[0]}
        stems = [path.absolute().stem for path in self.datasets]
        if twice := [stem for stem in stems if stems.count(stem) > 1]:
            raise UsageError(
                f"Several of the datasets are called {twice[0]}; convert them one by one."
            )
        return {f"{stem}/": reader for stem, reader in zip(stems, readers, strict=True)}

    def made_with(self) -> dict[str, Any]:
        """What decides the outputs, by which runs are compared."""
        places = [os.path.abspath(path) for path in self.datasets]
        return {
            "format": self.format,
            "datasets": places,
            "from": self.from_format,
            "images": None if self.images is None else os.path.abspath(self.images),
            "copy_images": self.copy_images,
        }


def run(job: Job, *, force: bool) -> int:
    """Do a job and return the exit code: 0 done, 1 where something was broken and is named.

    force: whether images that are done are made anew. Raises UsageError, before anything is
    written, where OUT holds something else, or what was made of other datasets or otherwise.
    """
    if not job.copy_images and holds_images(job.format):
        raise UsageError(
            f"--no-images does not go with --format {job.format}, whose files hold the images."
        )
    readers = job.open()
    _refuse_the_same_place(job)
    _refuse_foreign(job)
    with held(job.out):
        write_json(job.out / OWN_FOLDER / _FILE, job.made_with(), indent=1)
        with open_writer(job.format, job.out, copy_images=job.copy_images) as writer:
            session = _Session(job, writer, force=force)
            with steps(sum(len(reader) for reader in readers.values())) as progress:
                for folder, reader in readers.items():
                    session.go(folder, reader, progress)
    print(session.summary())
    if lost := loss_sentence(job.format, writer.losses):
        print(lost)
    return 1 if session.failed else 0


class _Session:
    """Goes through images and counts."""

    def __init__(self, job: Job, writer: PairWriter, *, force: bool) -> None:
        self._job, self._writer, self._force = job, writer, force
        self._marks = Marks(job.out)
        self.images = self.masks = self.skipped = self.failed = 0

    def go(self, folder: str, reader: PairReader, progress: Steps) -> None:
        """Convert all pairs of a reader; what is broken is named, and the others go on."""
        named: set[str] = set()
        for name in reader.names:
            progress.start(folder + name)
            try:
                progress.finish(self._step(reader, name, folder + name))
            except (FormatError, ImageError, UsageError) as error:  # others would hit every image
                named.add(name)
                self.failed += 1
                progress.finish(str(error), failed=True)
        for name, sentence in reader.broken:
            if name not in named:
                self.failed += 1
                progress.note(f"{folder}{name}: {sentence}")

    def _step(self, reader: PairReader, name: str, target: str) -> str:
        pair = reader[name]
        mark = mark_of(pair)
        if not self._force and self._marks.has(target, mark) and self._is_whole(pair, target):
            self.skipped += 1
            return "done before"
        pair.check_size()
        self._marks.remove(target)
        self._writer.write(
            pair.source,
            pair.records,
            name=target,
            size=pair.info.size,
            image_id=pair.info.image_id,
        )
        self._marks.set(target, mark)
        self.images, self.masks = self.images + 1, self.masks + len(pair.records)
        return _count(len(pair.records), "mask")

    def _is_whole(self, pair: Pair, target: str) -> bool:
        """Whether the output is there, and its copy of the image."""
        if not is_done(self._job.format, self._job.out, target):
            return False
        if not self._job.copy_images or copy_of(self._job.format, target, "") is None:
            return True
        suffix = pair.source.suffix if isinstance(pair.source, Blob) else ".png"
        copy = copy_of(self._job.format, target, suffix)
        return copy is not None and (self._job.out / copy).exists()

    def summary(self) -> str:
        """One line about the whole run."""
        made = f"{_count(self.masks, 'mask')} of {_count(self.images, 'image')}"
        parts = [f"{made} ({self._job.format})"] if self.images or not self.skipped else []
        parts += [f"{_count(self.skipped, 'image')} done before"] if self.skipped else []
        parts += [f"{_count(self.failed, 'thing')} broken, named above"] if self.failed else []
        return f"In {self._job.out}: {'; '.join(parts)}."


def _refuse_the_same_place(job: Job) -> None:
    """UsageError where a dataset lies in OUT, or OUT in a dataset."""
    out = Path(os.path.realpath(job.out))
    for path in job.datasets:
        place = Path(os.path.realpath(path))
        if out == place or out in place.parents or place in out.parents:
            raise UsageError(f"{job.out} and the dataset {path} overlap; give another -o.")


def _refuse_foreign(job: Job) -> None:
    """UsageError where OUT holds what no conversion wrote, or one of something else."""
    if job.out.exists() and not job.out.is_dir():
        raise UsageError(f"{job.out} is a file; give a folder for the output.")
    if not job.out.exists() or not any(job.out.iterdir()):
        return
    try:
        before = parse_json((job.out / OWN_FOLDER / _FILE).read_bytes())
    except (OSError, FormatError) as error:
        raise UsageError(
            f"{job.out} is not empty, and not by samkit convert; give another -o."
        ) from error
    if before != job.made_with():
        raise UsageError(
            f"{job.out} was converted from something else or otherwise; give another -o."
        )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
