"""The run behind `samkit auto`: image by image, each whole or not at all."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samkit import images
from samkit.cli.claims import Claim, Claims, State
from samkit.cli.progress import Steps, steps, waiting
from samkit.datasets.formats import copy_of, files_of, is_done, open_writer
from samkit.datasets.losses import loss_sentence
from samkit.datasets.writing import PairWriter
from samkit.errors import FormatError, ImageError, UsageError
from samkit.files import held
from samkit.inference.settings import PRESETS, AutomaticMaskSettings

if TYPE_CHECKING:
    from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator
    from samkit.modeling import Sam

OVERLAY = "_overlay.jpg"
_WITHOUT_EFFECT = "points_per_batch"


@dataclass(frozen=True)
class Job:
    """All that one run shall do."""

    folder: Path
    format: str
    overlay: bool
    copy_images: bool
    images: dict[str, Path]
    """By the name of the output."""
    settings: AutomaticMaskSettings
    model: str
    """What the user calls the model."""

    def files(self, name: str) -> list[str]:
        """What the output of an image consists of, relative to the folder; copies not counted."""
        files = files_of(self.format, name)
        return [*files, name + OVERLAY] if self.overlay else files

    def copy(self, name: str) -> str | None:
        """Where the copy of an image is put, relative to the folder; None where there is none, or
        the image lies there itself.
        """
        copy = copy_of(self.format, name, self.images[name].suffix) if self.copy_images else None
        if copy is None or _are_same(self.folder / copy, self.images[name]):
            return None
        return copy

    def is_whole(self, name: str) -> bool:
        """Whether the masks of an image, and its copy where one is wanted, are there."""
        copy = self.copy(name)
        if copy is not None and not (self.folder / copy).exists():
            return False
        return is_done(self.format, self.folder, name)

    def made_with(self, model_id: str) -> dict[str, Any]:
        """What decides the masks, by which runs are compared."""
        settings = asdict(self.settings)
        del settings[_WITHOUT_EFFECT]
        return {"model": model_id, **settings}


def run(job: Job, load: Callable[[], "Sam"], *, force: bool) -> int:
    """Do a job and return the exit code: 0 done, 1 where images failed.

    Raises UsageError, before anything is written, where something would be written over that was
    not made of the same images with the same settings, unless `force`.
    """
    _refuse_shared_files(job)
    with waiting(f"Loading the model {job.model}"):
        from samkit.checkpoints.identity import model_id
        from samkit.inference.automatic_mask_generator import SamAutomaticMaskGenerator

        sam = load()
        generator = SamAutomaticMaskGenerator.from_settings(sam, job.settings, "coco_rle")
        made_with = job.made_with(model_id(sam))
    claims = Claims(job.folder, job.format)
    with (
        held(job.folder),
        open_writer(job.format, job.folder, copy_images=job.copy_images) as writer,
    ):
        if force:  # so that the same command without --force goes on where this one is stopped
            for name in job.images:
                claims.reopen(name, made_with, job.model, job.files(name))
        todo = _unfinished(job, claims, made_with)
        session = _Session(job, claims, made_with, generator, writer)
        session.go(todo, resume="without --force " if force else "")
    print(session.summary(skipped=len(job.images) - len(todo)))
    if lost := loss_sentence(job.format, writer.losses):
        print(lost)
    if session.images and not session.masks:
        print(_no_mask(job.settings))
    return 1 if session.failed else 0


def _no_mask(settings: AutomaticMaskSettings) -> str:
    predicted_iou, stability = settings.pred_iou_thresh, settings.stability_score_thresh
    small = PRESETS["small"]
    lower = predicted_iou > small.pred_iou_thresh or stability > small.stability_score_thresh
    return (
        f"No mask was kept. Lower --pred-iou-thresh (now {predicted_iou:g}) and "
        f"--stability-score-thresh (now {stability:g})"
        f"{', or take --preset small' if lower else ''}."
    )


class _Session:
    """Goes through images and counts."""

    def __init__(
        self,
        job: Job,
        claims: Claims,
        made_with: dict[str, Any],
        generator: "SamAutomaticMaskGenerator",
        writer: PairWriter,
    ) -> None:
        self._job, self._claims, self._made_with = job, claims, made_with
        self._generator, self._writer = generator, writer
        self.images = self.masks = self.failed = 0

    def go(self, names: list[str], resume: str) -> None:
        """Make the outputs of images; one that cannot be made is named, and the others go on.

        resume: how the command goes on after an interruption.
        """
        with steps(len(names)) as progress:
            try:
                for name in names:
                    self._step(name, progress)
            except KeyboardInterrupt:
                progress.note(
                    f"Stopped after {self.images + self.failed} of {len(names)} images; the same "
                    f"command {resume}goes on from there."
                )
                raise

    def _step(self, name: str, progress: Steps) -> None:
        image = self._job.images[name]
        progress.start(str(image))
        try:
            count = self._make(name, image, progress)
        except (ImageError, FormatError, UsageError) as error:  # others would hit every image
            self.failed += 1
            progress.finish(str(error), failed=True)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            self.failed += 1
            progress.finish(
                "it needs more memory than there is; make it smaller, or lower --points-per-batch.",
                failed=True,
            )
        else:
            self.images, self.masks = self.images + 1, self.masks + count
            progress.finish(_count(count, "mask"))

    def _make(self, name: str, image: Path, progress: Steps) -> int:
        """Write all of one image's outputs; returns how many masks it has."""
        pixels = images.read(image)
        records = self._generator.generate(pixels, progress.part)
        claim = self._claims.begin(
            name,
            image,
            self._made_with,
            self._job.model,
            self._job.files(name),
            self._job.copy(name),
        )
        if self._job.overlay:
            from samkit.pictures.overlay import draw_overlay
            from samkit.pictures.saving import save_picture

            save_picture(self._job.folder / (name + OVERLAY), draw_overlay(pixels, records))
        height, width = pixels.shape[:2]
        self._writer.write(image, records, name=name, size=(height, width))
        self._claims.finish(name, claim)
        return len(records)

    def summary(self, skipped: int) -> str:
        """One line about the whole run."""
        what = f"{self._job.format} and overlays" if self._job.overlay else self._job.format
        made = f"{_count(self.masks, 'mask')} of {_count(self.images, 'image')} ({what})"
        parts = [made] if self.images or not skipped else []
        parts += [f"{_count(skipped, 'image')} done before"] if skipped else []
        parts += [f"{_count(self.failed, 'image')} failed, named above"] if self.failed else []
        return f"In {self._job.folder}: {'; '.join(parts)}."


def _unfinished(job: Job, claims: Claims, made_with: dict[str, Any]) -> list[str]:
    """Names of the images still to be done; UsageError where others' work is in the way."""
    states: dict[State, list[str]] = {state: [] for state in State}
    for name, image in job.images.items():
        state = claims.state(name, image, made_with, job.files(name), job.is_whole(name))
        states[state].append(name)
    if others := states[State.FOREIGN]:
        files = [file for name in others for file in claims.unclaimed(name, job.files(name))]
        raise UsageError(
            f"{job.folder} holds {_and_more(files)} already, not written by samkit auto for this; "
            "give another -o, or --force to write over it."
        )
    if others := states[State.OTHER_IMAGE]:
        raise UsageError(
            f"{job.folder} has an output for {_and_more(others)} already, made of "
            f"{_claim(claims, others).source.path}; give another -o, or --force to write over it."
        )
    if others := states[State.OTHER_SETTINGS]:
        differing = "; ".join(_differences(_claim(claims, others), made_with, job.model))
        raise UsageError(
            f"{job.folder} has masks of {_and_more(others)} that were made otherwise "
            f"({differing}); give another -o to keep both, or --force to make them anew."
        )
    return states[State.TODO]


def _claim(claims: Claims, names: list[str]) -> Claim:
    claim = claims.find(names[0])
    assert claim is not None  # the state of the name says so
    return claim


def _differences(claim: Claim, made_with: dict[str, Any], model: str) -> Iterator[str]:
    """What was different when an output was made, and what it is now."""
    for key, now in made_with.items():
        before = claim.made_with.get(key)
        if before == now:
            continue
        if key == "model":
            before, now = claim.model, model if model != claim.model else f"another {model}"
        yield f"{key} {before}, now {now}"


def _refuse_shared_files(job: Job) -> None:
    """UsageError where two images would be written to one file, or over one of the photographs."""
    photographs = {os.path.realpath(image) for image in job.images.values()}
    owners: dict[str, str] = {}
    for name in job.images:
        copy = job.copy(name)
        for file in [*job.files(name), *([] if copy is None else [copy])]:
            place = os.path.realpath(job.folder / file)
            if place in photographs:
                raise UsageError(
                    f"The output of {name} would be written over the photograph {file}; give "
                    "another -o."
                )
            if owners.setdefault(place, name) != name:
                raise UsageError(
                    f"The outputs of {owners[place]} and {name} would both be {file}; rename one."
                )


def _are_same(path: Path, image: Path) -> bool:
    return path.exists() and image.exists() and path.samefile(image)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _and_more(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
