"""The formats that masks are written in, by their names on the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from samkit.datasets import (
    coco_writer,
    labelmap,
    panoptic_writer,
    parquet_writer,
    voc_files,
    webdataset,
)
from samkit.datasets.coco_writer import CocoWriter, is_coco_done, is_coco_polygons_done
from samkit.datasets.document import check_name
from samkit.datasets.labelmap import LabelMapWriter, is_labelmap_done
from samkit.datasets.labelme_writer import LabelmeWriter, is_labelme_done
from samkit.datasets.panoptic_writer import PanopticWriter, is_panoptic_done
from samkit.datasets.parquet_writer import ParquetWriter, is_parquet_done
from samkit.datasets.png import PngWriter, is_png_done
from samkit.datasets.store import StoreWriter, is_store_json
from samkit.datasets.voc_writer import VocWriter, is_voc_done
from samkit.datasets.webdataset import WebdatasetWriter, is_webdataset_done
from samkit.datasets.writing import PairWriter
from samkit.datasets.yolo_writer import YoloWriter, is_yolo_done
from samkit.errors import UsageError


@dataclass(frozen=True)
class Format:
    """How one format is written."""

    open: Callable[[str | Path, bool], PairWriter]
    """The writer into a folder; the flag says whether images are copied."""
    is_done: Callable[[str | Path, str], bool]
    """Whether the output of an image is in a folder."""
    files: tuple[str, ...]
    """What is written for an image, relative to the folder; {} is its name. The first says that it
    is done. Copies and what all images share are not among them.
    """
    copies: str | None = None
    """Where copies of images lie, but for their suffix; None where they are not copied as files."""
    holds_images: bool = False
    """Whether the images lie inside the format's own files."""
    key: Callable[[str], str] = str
    """What stands for {}, made of the name of the image."""


def _is_sa1b_done(folder: str | Path, name: str) -> bool:
    return is_store_json(Path(folder) / f"{name}.json")


_FORMATS = {
    "sa1b": Format(
        lambda folder, copy: StoreWriter(folder, copy_images=copy),
        _is_sa1b_done,
        ("{}.json",),
        "{}",
    ),
    "coco": Format(
        lambda folder, copy: CocoWriter(folder, copy_images=copy),
        is_coco_done,
        (f"{coco_writer.PARTS}/{{}}.json",),
        "images/{}",
    ),
    "coco-polygons": Format(
        lambda folder, copy: CocoWriter(folder, copy_images=copy, masks="polygons"),
        is_coco_polygons_done,
        (f"{coco_writer.POLYGONS_PARTS}/{{}}.json",),
        "images/{}",
    ),
    "labelme": Format(
        lambda folder, copy: LabelmeWriter(folder, copy_images=copy),
        is_labelme_done,
        ("{}.json",),
        "{}",
    ),
    "panoptic": Format(
        lambda folder, copy: PanopticWriter(folder, copy_images=copy),
        is_panoptic_done,
        (f"{panoptic_writer.PICTURES}/{{}}.png",),
        "images/{}",
    ),
    "yolo": Format(
        lambda folder, copy: YoloWriter(folder, copy_images=copy),
        is_yolo_done,
        ("labels/{}.txt",),
        "images/{}",
    ),
    "voc": Format(
        lambda folder, copy: VocWriter(folder, copy_images=copy),
        is_voc_done,
        (
            f"{voc_files.OBJECTS}/{{}}.png",
            f"{voc_files.CLASSES}/{{}}.png",
            f"{voc_files.XMLS}/{{}}.xml",
        ),
        f"{voc_files.IMAGES}/{{}}",
    ),
    "parquet": Format(
        lambda folder, copy: ParquetWriter(folder),
        is_parquet_done,
        (f"{parquet_writer.PARTS}/{{}}.json",),
        holds_images=True,
    ),
    "webdataset": Format(
        lambda folder, copy: WebdatasetWriter(folder),
        is_webdataset_done,
        (f"{webdataset.PARTS}/{{}}.json",),
        holds_images=True,
        key=webdataset.key_of,
    ),
    "png": Format(lambda folder, copy: PngWriter(folder), is_png_done, ("{}",)),
    "labelmap": Format(
        lambda folder, copy: LabelMapWriter(folder), is_labelmap_done, ("{}" + labelmap.SUFFIX,)
    ),
}
FORMATS = tuple(_FORMATS)


def open_writer(format: str, folder: str | Path, *, copy_images: bool = False) -> PairWriter:
    """A writer of a format into a folder.

    format: one of FORMATS. copy_images: whether photographs are copied where the format has a place
    for them; see `copy_of`. Raises UsageError for an unknown format.
    """
    return _format(format).open(folder, copy_images)


def is_done(format: str, folder: str | Path, name: str) -> bool:
    """Whether the output of an image is there already and whole, so that a rerun may skip it.

    name: the image's, as it was or will be given to the writer. Raises UsageError for an unknown
    format or a name that cannot be one.
    """
    return _format(format).is_done(folder, check_name(name))


def files_of(format: str, name: str) -> list[str]:
    """What an image's output is, relative to the folder: files, or a folder."""
    written = _format(format)
    return [file.format(written.key(name)) for file in written.files]


def holds_images(format: str) -> bool:
    """Whether a format's own files hold the images, so that they cannot be left out."""
    return _format(format).holds_images


def copy_of(format: str, name: str, suffix: str) -> str | None:
    """Where a copy of an image lies, relative to the folder; None where images are not copied, or
    lie inside the format's own files.
    """
    place = _format(format).copies
    return None if place is None else place.format(name) + suffix.lower()


def _format(name: str) -> Format:
    if name not in _FORMATS:
        raise UsageError(f"There is no format {name!r}; choose one of {', '.join(FORMATS)}.")
    return _FORMATS[name]
