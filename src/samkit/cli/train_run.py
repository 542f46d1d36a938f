"""What `samkit train` does once its flags are read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from samkit.cli.run_flags import RunFlags
from samkit.cli.run_shown import run_watched, tell
from samkit.datasets.dead_leaves import DeadLeaves
from samkit.datasets.opening import open_dataset
from samkit.datasets.pairs import PairReader
from samkit.errors import SamkitError, UsageError
from samkit.modeling import Sam
from samkit.training.distributed import World, own_device
from samkit.training.loop import Trainer
from samkit.training.photographs import Photographs
from samkit.training.recipes import Recipe
from samkit.training.starting import freeze, starting_model
from samkit.training.watch import SAMPLES, Watch, draw_samples, sample_photos


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as the command line asks for it."""

    datasets: list[str]
    folder: Path
    recipe: Recipe
    init: str | None
    freeze: tuple[str, ...]
    synthetic: int
    textures: tuple[Path, ...]
    tensorboard: bool
    flags: RunFlags


def run(job: Job, should_stop: Callable[[], bool]) -> int:
    """Trains; 0, 1 where images were left out, 130 where it was asked to stop before its end."""
    _refuse_own_folder(job)
    cv2.setNumThreads(1)  # the crops' own threads are enough
    sam = starting_model(job.recipe, job.init, own_device(job.flags.device))
    freeze(sam, job.freeze)
    photographs = _photographs(job, sam.image_encoder.img_size)
    world = World.join(sam.device)
    try:
        with world.hold(job.folder):
            return _train(job, sam, photographs, world, should_stop)
    finally:
        world.leave()


def _photographs(job: Job, input_size: int) -> Photographs:
    datasets: list[tuple[str, PairReader]] = [
        (Path(path).stem, open_dataset(path)) for path in job.datasets
    ]
    scenes = None
    if job.synthetic:
        scenes = DeadLeaves(
            job.synthetic,
            size=input_size,
            seed=job.recipe.seed,
            textures=job.textures or None,
        )
    return Photographs(datasets, job.recipe.held_out, synthetic=scenes)


def _train(
    job: Job, sam: Sam, photographs: Photographs, world: World, should_stop: Callable[[], bool]
) -> int:
    trainer = Trainer(
        sam,
        photographs,
        job.recipe,
        job.folder,
        world=world,
        workers=job.flags.workers,
        part_bytes=job.flags.part_bytes,
        provenance={
            "data": {name: len(places) for name, places in photographs.sources.items()},
            "init": job.init,
        },
    )
    unlogged = None
    if world.is_first:
        unlogged = _watched(job, trainer, should_stop)
    else:
        trainer.run(job.flags.until, should_stop=should_stop)
    broken = world.everyone(photographs.broken)  # waits until the first one has saved
    if not world.is_first:
        return 0  # torchrun ends all processes as soon as one has another code
    left_out = {name: sentence for own in broken for name, sentence in own.items()}
    tell(trainer.course, job.recipe.steps, left_out)
    if unlogged is not None:
        raise unlogged
    if trainer.step < job.flags.end(job.recipe.steps):
        return 130
    trainer.course.require_saved()
    return 1 if left_out else 0


def _refuse_own_folder(job: Job) -> None:
    """Raises UsageError where the run's folder lies among what is learned from."""
    own = job.folder.resolve()
    for path in (*map(Path, job.datasets), *job.textures):
        if path.resolve() in (own, *own.parents):
            raise UsageError(
                f"{job.folder} lies in {path}, so that the run would read its own files as data; "
                "give another folder with -o."
            )


def _watched(job: Job, trainer: Trainer, should_stop: Callable[[], bool]) -> SamkitError | None:
    photos = sample_photos(trainer.photographs)
    watch = Watch(job.folder, trainer.step, job.tensorboard)
    end = job.flags.end(job.recipe.steps)

    def draw(step: int) -> None:
        if step % job.recipe.save_every == 0 or step == end:
            watch.draw()
            draw_samples(trainer.sam, photos, job.folder / SAMPLES)

    return run_watched(trainer, watch, job.flags, should_stop, draw)
