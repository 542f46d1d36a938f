"""`samkit convert`: images with masks from any format into any other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from samkit.cli.convert_run import Job, run
from samkit.cli.flags import Flag
from samkit.cli.output_format import OutputFormat
from samkit.datasets.opening import FORMATS as READ

_HELP = """
Reads whatever `samkit train` reads, finds out its format, and writes OUT with copies of the images.
Says what the new format cannot hold. Images that are done and unchanged are skipped, so the same
command goes on where it was stopped; what is broken is named, and the rest goes on.

Example: samkit convert my_coco/ -o my_yolo/ --format yolo
"""
if TYPE_CHECKING:
    InputFormat = str
else:
    InputFormat = Literal[("auto", *READ)]

app = App(
    name="convert",
    usage="Usage: samkit convert DATASETS... -o OUT --format FORMAT [OPTIONS]",
    help_epilogue=_HELP,
)


@app.default
def convert(
    datasets: list[Path],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    format: OutputFormat,
    from_format: Annotated[InputFormat, Parameter(name="--from")] = "auto",
    images: Path | None = None,
    no_images: Flag = False,
    force: Flag = False,
) -> int:
    """Turn images with masks into another format.

    Parameters
    ----------
    datasets
        Files or folders; of several, each goes into a folder of its name.
    out
        Folder for what is written; made where it is missing.
    format
        What is written.
    from_format
        What is read, where that is not clear by itself.
    images
        Where the images lie, if elsewhere than usual.
    no_images
        Write the masks alone and leave the images where they are (not parquet and webdataset, whose
        files hold the images).
    force
        Make everything anew, over what the same command wrote into OUT before.
    """
    job = Job(datasets, out, format, from_format, images, copy_images=not no_images)
    return run(job, force=force)
