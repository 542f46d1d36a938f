"""COCO instances (one JSON for many images) read as pairs."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from samkit.datasets.document import ImageInfo, check_image, check_name, parse_json
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.polygons import polygons_to_mask
from samkit.datasets.records import Record, from_mask
from samkit.errors import FormatError, SamkitError, UsageError
from samkit.masks import rle

_LOOKED_FOR = 20


class CocoReader(PairReader):
    """Reads a COCO instances JSON and its folder of images, in the order of the names.

    Masks may be polygons, uncompressed or compressed RLE. A record's id is the annotation's, its
    category's name stands under samkit.labels, and a crowd region (iscrowd 1: many objects under
    one mask) is left out unless asked for, and then says samkit.crowd.
    """

    def __init__(
        self, file: str | Path, images: str | Path | None = None, *, keep_crowds: bool = False
    ) -> None:
        """file: the JSON. images: the folder in which its file names lie; by itself it is looked
        for beside the JSON, in a folder images/, and where COCO's own files have it.

        Raises UsageError where either is missing, FormatError where the JSON is not of this kind;
        single images and annotations that are broken are named in `broken`.
        """
        super().__init__()
        self.file = Path(file)
        self._keep_crowds = keep_crowds
        if images is not None and not Path(images).is_dir():
            raise UsageError(f"There is no folder {images}; name the one of the images.")
        value = _load(self.file)
        self.images = _find_images(self.file, value["images"]) if images is None else Path(images)
        self._categories = _categories(value.get("categories"))
        self._images: dict[str, tuple[ImageInfo, Blob]] = {}
        self._ids: set[int] = set()
        self._annotations: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}
        for place, image in enumerate(value["images"]):
            self._add_image(place, image)
        for place, annotation in enumerate(value["annotations"]):
            owner = annotation.get("image_id") if isinstance(annotation, Mapping) else None
            if type(owner) is int and owner in self._ids:
                self._annotations.setdefault(owner, []).append((place, annotation))
            else:
                self._note(
                    f"annotation {place}", f"{self.file}: It belongs to no image that is read."
                )

    def _add_image(self, place: int, image: Any) -> None:
        try:
            if not isinstance(image, Mapping):
                raise FormatError("An image must be a JSON object.")
            path = PurePosixPath(_file_name(image))
            name = check_name(path.with_suffix("").as_posix())
            info = check_image({**image, "image_id": image.get("id"), "file_name": path.name})
            if info.image_id in self._ids:
                raise FormatError(f"The id {info.image_id} comes twice.")
        except SamkitError as error:
            self._note(f"image {place}", f"{self.file}: {error}")
            return
        if name in self._images:
            name = f"{name}_{path.suffix.lstrip('.').lower()}_{info.image_id}"
        self._ids.add(info.image_id)
        self._images[name] = (info, Blob(self.images / path))

    def _iterate_names(self) -> Iterator[str]:
        yield from sorted(self._images)

    def _load(self, name: str) -> Pair:
        info, source = self._images[name]
        if not source.path.is_file():
            raise FormatError(f"{self.file} names {source.path}, which is not there.")
        records = []
        for place, annotation in self._annotations.get(info.image_id, []):
            crowd = annotation.get("iscrowd") == 1
            if crowd and not self._keep_crowds:
                continue
            try:
                records.append(self._record(annotation, place, info.size, crowd))
            except FormatError as error:
                self._note(f"annotation {place}", f"{self.file}: {error}")
        return Pair(name, info, records, source)

    def _record(
        self, annotation: Mapping[str, Any], place: int, size: tuple[int, int], crowd: bool
    ) -> Record:
        own: dict[str, Any] = {}
        category = annotation.get("category_id")
        if type(category) is int and category in self._categories:
            own["labels"] = [self._categories[category]]
        if crowd:
            own["crowd"] = True
        mask = _mask(annotation.get("segmentation"), size)
        return from_mask(mask, annotation.get("id", place + 1), samkit=own)


def _mask(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, list):
        mask = polygons_to_mask(segmentation, size)
    else:
        mask = rle.decode(segmentation)
        if mask.shape != size:
            raise FormatError("The mask does not have the size of its image.")
    if not mask.any():
        raise FormatError("The mask has no pixel inside the image.")
    return mask


def _load(file: Path) -> Mapping[str, Any]:
    try:
        value = parse_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror}; check the name.") from error
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error
    lists = ("images", "annotations")
    if not isinstance(value, Mapping) or not all(isinstance(value.get(k), list) for k in lists):
        raise FormatError(
            f'{file} is not COCO\'s JSON: it lacks the lists "images", "annotations".'
        )
    return value


def _find_images(file: Path, images: list[Any]) -> Path:
    """The first of the usual folders in which one of the first images lies.

    annotations/instances_val2017.json has its images in val2017/ or images/val2017/.
    """
    beside, above, split = file.parent, file.absolute().parent.parent, file.stem.split("_")[-1]
    usual = (beside, beside / "images", above / "images", above / split, above / "images" / split)
    names = [name for image in images[:_LOOKED_FOR] if (name := _sound_name(image))]
    for folder in usual:
        if any((folder / name).is_file() for name in names):
            return folder
    if names:
        raise UsageError(
            f"The images of {file} are not beside it or in a folder images/; name their folder."
        )
    return beside


def _categories(value: Any) -> dict[int, str]:
    """Names by id; what is no category is passed over, for names are a help and no need."""
    rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
    return {
        row["id"]: row["name"]
        for row in rows
        if type(row.get("id")) is int and isinstance(row.get("name"), str)
    }


def _sound_name(image: Any) -> str | None:
    try:
        return check_name(_file_name(image)) if isinstance(image, Mapping) else None
    except SamkitError:
        return None


def _file_name(image: Mapping[str, Any]) -> str:
    """The image's path; LVIS gives only an address, whose last part it is."""
    name, address = image.get("file_name"), image.get("coco_url")
    if name is None and isinstance(address, str):
        name = PurePosixPath(urlsplit(address).path).name
    if not isinstance(name, str) or not name:
        raise FormatError("An image has no file_name.")
    return name
