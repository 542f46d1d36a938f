"""`samkit auto`: every mask of every photograph, into files."""

import os
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, ArgumentCollection, Group, Parameter
from cyclopts.config import Dict

from samkit import images
from samkit.cli.auto_run import Job, run
from samkit.cli.claims import Outputs
from samkit.cli.flags import Flag, ModelFlags
from samkit.cli.output_format import OutputFormat
from samkit.datasets.formats import copy_of
from samkit.datasets.names import output_names
from samkit.errors import CheckpointError, UsageError
from samkit.inference.settings import PRESETS, AutomaticMaskSettings

_HELP = """
Writes OUT/NAME.json for each photograph (or what --format says), and OUT/NAME_overlay.jpg with
--overlay; folders below PHOTOS are kept. Images that are done are skipped, so the same command goes
on where it was stopped. An image that cannot be read is named, and the others go on.

Example: samkit auto photos/ -o masks/ --overlay --points-per-side 16
"""
_KEPT = Group(
    "What is kept",
    help="Shown are the official defaults; the bundled model takes --preset small instead.",
)
Settings = Annotated[AutomaticMaskSettings, Parameter(name="*", group=_KEPT)]
_OFFICIAL = PRESETS["official"]
if TYPE_CHECKING:
    Preset = str
else:
    Preset = Literal[tuple(PRESETS)]
_DEFAULT_MODEL = ModelFlags()


def _fill_from_preset(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Where no flag is given, the preset's value holds instead of the default.

    Without a preset it is the model's own.
    """
    tokens, models = arguments["--preset"].tokens, arguments["--model"].tokens
    model = models[-1].value if models else _DEFAULT_MODEL.model
    preset = PRESETS.get(tokens[-1].value if tokens else _own_preset(model))
    if preset is None:
        return
    values = {
        field.name: getattr(preset, field.name)
        for field in fields(preset)
        if getattr(preset, field.name) != field.default
    }
    Dict(values, use_commands_as_keys=False)(app, commands, arguments)


def _own_preset(model: str) -> str:
    """small for the bundled model and what was trained from it, official for every other one."""
    if model == _DEFAULT_MODEL.model:
        return "small"
    if model.endswith(".safetensors") and os.path.isfile(model):
        from samkit.checkpoints.samkit_files import read_metadata

        with suppress(CheckpointError):  # of another program; what is wrong is said when it is read
            if read_metadata(model).config.variant == _DEFAULT_MODEL.model:
                return "small"
    return "official"


app = App(
    name="auto",
    usage="Usage: samkit auto PHOTOS... -o OUT [OPTIONS]",
    help_epilogue=_HELP,
    config=_fill_from_preset,
)


@app.default
def auto(
    photos: list[Path],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    format: OutputFormat = "sa1b",
    overlay: Flag = False,
    copy_images: Flag = False,
    force: Flag = False,
    preset: Preset | None = None,
    settings: Settings = _OFFICIAL,
    model: Annotated[ModelFlags, Parameter(name="*", group="Model")] = _DEFAULT_MODEL,
) -> int:
    """Find every mask of every photograph.

    Parameters
    ----------
    photos
        Images, and folders that are searched for them.
    out
        Folder for what is written; made where it is missing.
    format
        sa1b: a JSON for each image as SA-1B has it. coco, coco-polygons: one JSON for all. png: a
        folder for each image with a PNG for each mask. labelmap: a 16-bit PNG without overlaps.
        labelme, panoptic, yolo, voc, parquet, webdataset: as those tools read them.
    overlay
        Write a picture of the masks on the photograph as well.
    copy_images
        Copy each photograph to where the format has it, which makes OUT a dataset (not png and
        labelmap; parquet and webdataset hold the photographs by themselves).
    force
        Make everything anew and write over what is there.
    preset
        official: the published defaults. small: thresholds for the bundled model, which it and
        what was trained from it take where no preset is given. paper: as SA-1B was made, with
        crops and clean-up, which takes several times as long. Flags that are given as well win.
    """
    if copy_images and copy_of(format, "", "") is None:
        raise UsageError(f"--copy-images does not go with --format {format}.")
    found = _photographs(photos, out)
    job = Job(
        folder=out,
        format=format,
        overlay=overlay,
        copy_images=copy_images,
        images=dict(zip(output_names(found, photos), found, strict=True)),
        settings=settings,
        model=model.model,
    )
    return run(job, model.load, force=force)


def _photographs(photos: list[Path], out: Path) -> list[Path]:
    """The images among files and folders, without those that an earlier run wrote."""
    outputs, found, passed_over = Outputs(), [], 0
    for path in images.walk(photos):
        if outputs.contain(path) or _lies_in(out, path, photos):
            passed_over += 1
        else:
            found.append(path)
    copies = outputs.copies_among(found)
    found = [path for path in found if path not in copies]
    if not found:
        where = ", ".join(map(str, photos))
        written = f" but {passed_over} that samkit wrote" if passed_over else ""
        raise UsageError(
            f"There are no images in {where}{written}; images are known by their suffixes, "
            "such as .jpg, .png or .tif."
        )
    return found


def _lies_in(out: Path, path: Path, photos: list[Path]) -> bool:
    """Whether a file was found in the folder of outputs, because that lies in one of PHOTOS."""
    folder = Path(os.path.realpath(out))
    tops = (Path(os.path.realpath(photo)) for photo in photos)
    return Path(os.path.realpath(path)).is_relative_to(folder) and any(
        folder != top and folder.is_relative_to(top) for top in tops
    )
