"""What `samkit pretrain` does once its flags are read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from samkit import images
from samkit.cli.run_flags import RunFlags
from samkit.cli.run_shown import run_watched, tell
from samkit.modeling.masked_patches import MaskedAutoencoder
from samkit.training.distributed import World, own_device
from samkit.training.pretraining import Pretrainer
from samkit.training.pretraining_images import UnlabelledImages
from samkit.training.pretraining_recipes import PretrainRecipe, new_autoencoder
from samkit.training.watch import Watch

DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class Job:
    """A run as the command line asks for it."""

    images: list[Path]
    folder: Path
    recipe: PretrainRecipe
    flags: RunFlags


def run(job: Job, should_stop: Callable[[], bool]) -> int:
    """Pre-trains; 0, 1 where images could not be read, 130 where it was asked to stop."""
    model = new_autoencoder(job.recipe)
    own = job.folder.resolve()
    paths = [path for path in images.walk(job.images) if own not in path.resolve().parents]
    unlabelled = UnlabelledImages(paths, job.recipe, model.patches)
    device = own_device(job.flags.device)
    world = World.join(device)
    try:
        with world.hold(job.folder):
            return _pretrain(job, model.to(device), unlabelled, world, should_stop)
    finally:
        world.leave()


def _pretrain(
    job: Job,
    model: MaskedAutoencoder,
    unlabelled: UnlabelledImages,
    world: World,
    should_stop: Callable[[], bool],
) -> int:
    trainer = Pretrainer(
        model,
        unlabelled,
        job.folder,
        world=world,
        workers=job.flags.workers,
        part_bytes=job.flags.part_bytes,
        provenance={"images": len(unlabelled.paths)},
    )
    unlogged = None
    if world.is_first:
        watch = Watch(job.folder, trainer.step, tensorboard=False)
        unlogged = run_watched(trainer, watch, job.flags, should_stop)
    else:
        trainer.run(job.flags.until, should_stop=should_stop)
    broken = world.everyone(unlabelled.broken)  # waits until the first one has saved
    if not world.is_first:
        return DONE  # torchrun ends all processes as soon as one has another code
    left_out = {name: sentence for own in broken for name, sentence in own.items()}
    tell(trainer.course, job.recipe.steps, left_out)
    if unlogged is not None:
        raise unlogged
    if trainer.step < job.flags.end(job.recipe.steps):
        return INTERRUPTED
    trainer.course.require_saved()
    return SOME_FAILED if left_out else DONE
