"""The formats that masks are written in, by their names on the command line."""

from collections.abc import Callable
from pathlib import Path

from samkit.datasets.coco import CocoWriter, is_coco_done
from samkit.datasets.document import check_name
from samkit.datasets.labelmap import LabelMapWriter, is_labelmap_done
from samkit.datasets.png import PngWriter, is_png_done
from samkit.datasets.store import StoreWriter, is_store_json
from samkit.datasets.writing import PairWriter
from samkit.errors import UsageError


def _is_sa1b_done(folder: str | Path, name: str) -> bool:
    return is_store_json(Path(folder) / f"{name}.json")


_DONE: dict[str, Callable[[str | Path, str], bool]] = {
    "sa1b": _is_sa1b_done,
    "coco": is_coco_done,
    "png": is_png_done,
    "labelmap": is_labelmap_done,
}
FORMATS = tuple(_DONE)


def open_writer(format: str, folder: str | Path, *, copy_images: bool = False) -> PairWriter:
    """A writer of a format into a folder.

    format: one of FORMATS. copy_images: whether photographs are copied beside their JSON (sa1b).
    Raises UsageError for an unknown format.
    """
    if format == "sa1b":
        return StoreWriter(folder, copy_images=copy_images)
    writers: dict[str, Callable[[str | Path], PairWriter]] = {
        "coco": CocoWriter,
        "png": PngWriter,
        "labelmap": LabelMapWriter,
    }
    if format not in writers:
        raise UsageError(f"There is no format {format!r}; choose one of {', '.join(FORMATS)}.")
    return writers[format](folder)


def is_done(format: str, folder: str | Path, name: str) -> bool:
    """Whether the output of an image is there already and whole, so that a rerun may skip it.

    name: the image's, as it was or will be given to the writer. Raises UsageError for an unknown
    format or a name that cannot be one.
    """
    if format not in _DONE:
        raise UsageError(f"There is no format {format!r}; choose one of {', '.join(FORMATS)}.")
    return _DONE[format](folder, check_name(name))
