"""What COCO's JSON files share, instances and panoptic: images, categories, where things lie."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from samkit.datasets.document import ImageInfo, check_image, check_name, parse_json
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.records import Record
from samkit.errors import FormatError, SamkitError, UsageError

Entry = tuple[int, Mapping[str, Any]]
"""An annotation and its place in the file."""

_LOOKED_FOR = 20


class CocoJsonReader(PairReader):
    """Reads one JSON for many images, in the order of the images' names."""

    def __init__(self, file: str | Path, images: str | Path | None) -> None:
        """file: the JSON. images: the folder in which its file names lie; by itself it is looked
        for beside the JSON, in a folder images/, and where COCO's own files have it.

        Raises UsageError where either is missing, FormatError where the JSON is not of this kind;
        single images and annotations that are broken are named in `broken`.
        """
        super().__init__()
        self.file = Path(file)
        if images is not None and not Path(images).is_dir():
            raise UsageError(f"There is no folder {images}; name the one of the images.")
        value = _load(self.file)
        self.images = _find_images(self.file, value["images"]) if images is None else Path(images)
        self._categories = _categories(value.get("categories"))
        self._images: dict[str, tuple[ImageInfo, Blob]] = {}
        self._ids: set[int] = set()
        self._annotations: dict[int, list[Entry]] = {}
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

    @abstractmethod
    def _records(self, info: ImageInfo, annotations: list[Entry]) -> list[Record]:
        """The records of an image; what is broken is noted, or a SamkitError."""

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
        records = self._records(info, self._annotations.get(info.image_id, []))
        return Pair(name, info, records, source)

    def _label(self, entry: Mapping[str, Any]) -> str | None:
        """The name of an entry's category, if it has one."""
        category = entry.get("category_id")
        return self._categories.get(category) if type(category) is int else None


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
