"""`samkit segment`: the masks that prompts ask for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import App, Parameter
from numpy.typing import NDArray

from samkit import images
from samkit.cli import prompts
from samkit.cli.flags import Flag, ModelFlags
from samkit.cli.progress import waiting
from samkit.errors import UsageError
from samkit.masks import rle
from samkit.pixels import Pixels

if TYPE_CHECKING:
    from samkit.inference.predictor import SamPredictor

OVERLAY = "_overlay.jpg"
_HELP = """
Several masks become out_0.png, out_1.png, … the best predicted IoU first. By itself one prompt is
answered with three masks, for it may mean a part or the whole, and several prompts with one
(--multimask and --single decide otherwise).

All prompts mean one object, unless there are several boxes: then each box is an object, a point
goes with the boxes it lies in, and box 2 becomes out_2.png (or out_2_0.png, …).

Example: samkit segment photo.jpg --point 320,200 --point 40,40,0 -o cat.png --overlay
"""
Words = Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="", show_default=False)]
_DEFAULT_MODEL = ModelFlags()

app = App(
    name="segment", usage="Usage: samkit segment PHOTO -o OUT.png [OPTIONS]", help_epilogue=_HELP
)


@dataclass(frozen=True)
class Answer:
    """One mask; suffix: what distinguishes its file, such as _0."""

    suffix: str
    mask: NDArray[np.bool_]
    predicted_iou: float


@app.default
def segment(
    photo: Path,
    /,
    *,
    point: Words = [],  # noqa: B006
    box: Words = [],  # noqa: B006
    boxes: Path | None = None,
    mask: Path | None = None,
    multimask: Flag = False,
    single: Flag = False,
    remove_small: int = 0,
    overlay: Flag = False,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    model: Annotated[ModelFlags, Parameter(name="*", group="Model")] = _DEFAULT_MODEL,
) -> None:
    """Find the masks that points, boxes or a mask ask for.

    Parameters
    ----------
    photo
        The image.
    point
        x,y of a point on the object, or x,y,0 of one that is not; in pixels from the upper left of
        the upright image; may be given again.
    box
        x0,y0,x1,y1 around the object; may be given again.
    boxes
        JSON file with a list of boxes, [[x0, y0, x1, y1], …].
    mask
        Picture of a rough mask, as large as the photograph: what is not black is the object.
    multimask
        Three masks, whatever the prompts.
    single
        One mask, whatever the prompts.
    remove_small
        Fill holes and drop specks of fewer pixels than this.
    overlay
        Write a picture of masks and prompts on the photograph as well, OUT_overlay.jpg.
    out
        PNG of 0 and 255, as large as the upright photograph.
    """
    if multimask and single:
        raise UsageError("Give --multimask or --single, not both.")
    if remove_small < 0:
        raise UsageError(f"--remove-small takes a number of pixels, not {remove_small}.")
    if out.suffix.lower() != ".png":
        raise UsageError(f"Masks are written as PNG, so -o must end in .png, not {out.name!r}.")
    picture = images.read(photo)
    height, width = picture.shape[:2]
    given = prompts.parse(point, box, boxes, mask, (height, width))
    objects = given.objects()

    with waiting(f"Loading the model {model.model} and embedding {photo.name}"):
        from samkit.inference.predictor import SamPredictor

        predictor = SamPredictor(model.load())
        predictor.set_image(picture)
    wanted = True if multimask else False if single else None
    kept = []
    for answer in _answers(predictor, given, objects, wanted, remove_small):
        _write(out, photo, answer)
        if overlay:
            kept += rle.encode(answer.mask[None])  # small, however many masks there are
    if overlay:
        _write_overlay(out, photo, picture, kept, given)


def _answers(
    predictor: "SamPredictor",
    given: prompts.Given,
    objects: list[tuple[list[int], list[int]]],
    multimask: bool | None,
    remove_small: int,
) -> Iterator[Answer]:
    """The masks of all objects, of each the best predicted IoU first."""
    for number, (points, boxes) in enumerate(objects):
        masks, scores, _ = predictor.predict(
            given.points[points] if points else None,
            given.labels[points] if points else None,
            given.boxes[boxes[0]] if boxes else None,
            given.mask,
            multimask,
            remove_small_regions=remove_small,
        )
        of_object = f"_{number}" if len(objects) > 1 else ""
        for rank, index in enumerate(np.argsort(-scores, kind="stable")):
            of_mask = f"_{rank}" if len(masks) > 1 else ""
            yield Answer(of_object + of_mask, masks[index], float(scores[index]))


def _write(out: Path, photo: Path, answer: Answer) -> None:
    from samkit.datasets.png import write_mask

    path = out.with_name(out.stem + answer.suffix + out.suffix)
    _refuse_photo(path, photo)
    write_mask(path, answer.mask)
    share = answer.mask.mean()
    print(f"{path}: predicted IoU {answer.predicted_iou:.3f}, {share:.1%} of the image")


def _write_overlay(
    out: Path,
    photo: Path,
    picture: Pixels,
    masks: list[dict[str, Any]],
    given: prompts.Given,
) -> None:
    from samkit.pictures.overlay import draw_overlay
    from samkit.pictures.prompts import Prompts
    from samkit.pictures.saving import save_picture

    path = out.with_name(out.stem + OVERLAY)
    _refuse_photo(path, photo)
    drawn = Prompts(points=given.points, labels=given.labels, boxes=given.boxes, mask=given.mask)
    save_picture(path, draw_overlay(picture, masks, prompts=drawn))
    print(f"{path}: masks and prompts on the photograph")


def _refuse_photo(path: Path, photo: Path) -> None:
    if os.path.realpath(path) == os.path.realpath(photo):
        raise UsageError(f"{path} is the photograph itself; give another -o.")
