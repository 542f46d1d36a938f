"""Opens whatever labelled images lie at a path."""

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from samkit.datasets.coco_reader import CocoReader
from samkit.datasets.document import parse_json
from samkit.datasets.folder import MaskFolderReader
from samkit.datasets.labelme import LabelmeReader
from samkit.datasets.mask_pictures import MaskPicturesReader
from samkit.datasets.pairs import PairReader
from samkit.datasets.panoptic_reader import PanopticReader
from samkit.datasets.parquet_reader import ParquetReader
from samkit.datasets.shards import MANIFEST
from samkit.datasets.store import StoreReader
from samkit.datasets.voc_reader import VocReader
from samkit.datasets.webdataset import SHARDS, WebdatasetReader
from samkit.datasets.yolo_reader import YoloReader
from samkit.errors import FormatError, UsageError

FORMATS = (
    *("sa1b", "coco", "labelme", "masks"),
    *("panoptic", "yolo", "voc", "parquet", "webdataset"),
)
_ACCEPTED = (
    "name a store (images with SA-1B's JSON, or tars of them), a JSON of COCO's (instances or "
    "panoptic), a folder of labelme's JSON, one with images/ and masks/ or labels/ (YOLO), Pascal "
    "VOC's with SegmentationObject/, or Parquet files"
)
_LOOKED_AT = 8  # JSON files of a folder, to find out whose they are


def open_dataset(
    path: str | Path,
    *,
    format: str = "auto",
    images: str | Path | None = None,
    keep_crowds: bool = False,
) -> PairReader:
    """A reader of the labelled images at a path.

    format: one of FORMATS, or "auto", which looks at what is there: a store (a folder of pairs, of
        tars, or one tar; a WebDataset of such pairs is one too), a COCO instances or panoptic JSON
        or a folder with one, a folder of labelme files, a folder with images/ and masks/ (index or
        colour pictures masks/NAME.png, or a picture for each mask, masks/NAME/*.png), with images/
        and labels/ (YOLO), with SegmentationObject/ (Pascal VOC), or with Parquet files, or one.
    images: where the images lie, if elsewhere than usual; `path` then is the folder of the masks
        where the format is "masks".
    keep_crowds: whether crowd regions (COCO's iscrowd) are records too, and then say samkit.crowd.
    Raises UsageError where there is nothing of these kinds, or several, and FormatError for a file
    that breaks its format. Single broken images and masks are named in the reader's `broken`.
    """
    path = Path(path)
    if format not in (*FORMATS, "auto"):
        raise UsageError(f"There is no format {format!r}; choose one of {', '.join(FORMATS)}.")
    if not path.exists():
        raise UsageError(f"There is no file or folder {path}; check the name.")
    kind = _kind_of(path) if format == "auto" else format
    if kind == "coco":
        return CocoReader(_json_of(path, kind), images, keep_crowds=keep_crowds)
    if kind == "panoptic":
        return PanopticReader(_json_of(path, kind), images, keep_crowds=keep_crowds)
    if kind == "parquet":
        return ParquetReader(path, images=images, keep_crowds=keep_crowds)
    return _OPENERS[kind](path, images)


def _open_store(path: Path, images: str | Path | None) -> PairReader:
    if (path / SHARDS / MANIFEST).is_file():
        return WebdatasetReader(path, images=images)
    return StoreReader(path, images=images)


def _json_of(path: Path, kind: str) -> Path:
    """The only JSON of a kind at a path. Raises UsageError where there are none or several."""
    if not path.is_dir():
        return path
    files = list(islice((p for p in _jsons(path) if _kind_of_json(p) == kind), 2))
    if len(files) != 1:
        found = "several files" if files else "no file"
        of = "COCO's" if kind == "coco" else "COCO's panoptic kind"
        raise UsageError(f"{path} holds {found} of {of}; name the one to read.")
    return files[0]


def _open_labelme(path: Path, images: str | Path | None) -> PairReader:
    return LabelmeReader(path, images=images)


def _open_masks(path: Path, images: str | Path | None) -> PairReader:
    pictures, masks = (path / "images", path / "masks") if images is None else (Path(images), path)
    if masks.is_dir() and _has_a_folder_for_each(pictures, masks):
        return MaskPicturesReader(pictures, masks)
    return MaskFolderReader(pictures, masks)


_OPENERS: dict[str, Callable[[Path, str | Path | None], PairReader]] = {
    "sa1b": _open_store,
    "webdataset": _open_store,
    "labelme": _open_labelme,
    "masks": _open_masks,
    "yolo": lambda path, images: YoloReader(path, images=images),
    "voc": lambda path, images: VocReader(path, images=images),
}


def _kind_of(path: Path) -> str:
    """One of FORMATS. Raises UsageError where it is none, or not clear which."""
    if path.is_file():
        kind = {".tar": "sa1b", ".json": "coco", ".parquet": "parquet"}.get(path.suffix.lower())
        if kind is None:
            raise UsageError(f"{path} is no dataset; {_ACCEPTED}.")
        is_panoptic = kind == "coco" and _kind_of_json(path) == "panoptic"
        return "panoptic" if is_panoptic else kind
    if (path / MANIFEST).exists() or next(path.glob("*.tar"), None):
        return "sa1b"
    kinds = {kind for file in islice(_jsons(path), _LOOKED_AT) if (kind := _kind_of_json(file))}
    kinds |= set(_kinds_by_folders(path))
    if not kinds:
        raise UsageError(f"{path} holds no labelled images of a known kind; {_ACCEPTED}.")
    if len(kinds) > 1:
        raise UsageError(
            f"{path} holds datasets of several kinds ({', '.join(sorted(kinds))}); "
            "name the file or the folder of one of them."
        )
    return kinds.pop()


def _kinds_by_folders(path: Path) -> Iterator[str]:
    """What the names of the folders and files in a folder give away."""
    if (path / SHARDS / MANIFEST).is_file():
        yield "webdataset"
    if (path / "images").is_dir() and (path / "masks").is_dir():
        yield "masks"
    if (path / "images").is_dir() and next((path / "labels").rglob("*.txt"), None):
        yield "yolo"
    if (path / "SegmentationObject").is_dir():
        yield "voc"
    if any(next(folder.glob("*.parquet"), None) for folder in (path, path / "data")):
        yield "parquet"


def _jsons(folder: Path) -> Iterator[Path]:
    """JSON files of a folder and its subfolders, one after the other, without listing all first."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(".json") and not file.startswith("."):
                yield Path(place, file)


def _kind_of_json(file: Path) -> str | None:
    """Whose JSON a file is; None for anything unknown or broken."""
    try:
        value: Any = parse_json(file.read_bytes())
    except (OSError, FormatError):
        return None
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("shapes"), list):
        return "labelme"
    if not isinstance(value.get("annotations"), list):
        return None
    if isinstance(value.get("image"), Mapping):
        return "sa1b"
    if not isinstance(value.get("images"), list):
        return None
    first = value["annotations"][:1]
    segments = any(isinstance(entry, Mapping) and "segments_info" in entry for entry in first)
    return "panoptic" if segments else "coco"


def _has_a_folder_for_each(images: Path, masks: Path) -> bool:
    """Whether a folder of `masks` bears the name of an image, rather than holding more folders."""
    folders = {place.name for place in masks.iterdir() if place.is_dir()}
    return images.is_dir() and any(
        image.is_file() and image.stem in folders for image in images.iterdir()
    )
