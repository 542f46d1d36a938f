"""labelme's JSON, one for each image, read as pairs: polygons, rectangles, circles, masks."""

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit import images
from samkit.datasets.document import MAX_JSON_BYTES, check_image, image_id_of, parse_json
from samkit.datasets.labels import with_added_fields
from samkit.datasets.pairs import Blob, Pair, PairReader
from samkit.datasets.polygons import circle, polygons_to_mask, rectangle
from samkit.errors import FormatError, ImageError, UsageError

_RECORD_BITS = 12
_WITHOUT_AREA = {"point", "points", "line", "linestrip"}


class LabelmeReader(PairReader):
    """Reads a folder of labelme files with its subfolders, sorted by name.

    Shapes of one label that share a group_id are parts of one mask. A record says its label under
    samkit.labels. Points and lines have no area and are named in `broken`. What `LabelmeWriter`
    wrote comes back with scores, prompts and all, also when labelme has saved it since.
    """

    def __init__(self, folder: str | Path, *, images: str | Path | None = None) -> None:
        """folder: of the JSON files. images: where the images lie if not beside their JSON.

        Raises UsageError where a folder is missing.
        """
        super().__init__()
        self.folder, self.images = Path(folder), None if images is None else Path(images)
        for place in (self.folder, self.images):
            if place is not None and not place.is_dir():
                raise UsageError(f"There is no folder {place}; check the name.")

    def _iterate_names(self) -> Iterator[str]:
        names = []
        for place, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = (Path(place, file) for file in files if not file.startswith("."))
            names += [
                path.relative_to(self.folder).with_suffix("").as_posix()
                for path in paths
                if path.suffix == ".json"
            ]
        yield from sorted(names)

    def _load(self, name: str) -> Pair:
        path = self.folder / f"{name}.json"
        try:
            value = parse_json(Blob(path).read(MAX_JSON_BYTES))
            if not isinstance(value, Mapping) or not isinstance(value.get("shapes"), list):
                raise FormatError('It is not labelme\'s JSON: it has no list "shapes".')
            source = self._source(path, value.get("imagePath"))
            info = check_image(
                {
                    "image_id": image_id_of(name),
                    "width": value.get("imageWidth"),
                    "height": value.get("imageHeight"),
                    "file_name": source.file_name,
                }
            )
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
        records = []
        found = self._masks(name, value["shapes"], info.size)
        for place, (label, mask, shape) in enumerate(found):
            record_id = (info.image_id << _RECORD_BITS) + place
            try:
                records.append(with_added_fields(mask, record_id, shape, label))
            except FormatError as error:
                self._note(f"{name} mask {place}", f"{path}: {error}")
        return Pair(name, info, records, source)

    def _source(self, path: Path, image_path: Any) -> Blob:
        """The image: by the last part of its path only, which may come from any machine."""
        if not isinstance(image_path, str) or not image_path:
            raise FormatError("It has no imagePath.")
        file_name = PureWindowsPath(image_path).name  # cuts at both kinds of slashes
        inside = path.parent.relative_to(self.folder)
        places = [path.parent] if self.images is None else [self.images / inside, self.images]
        for place in places:
            if file_name and (place / file_name).is_file():
                return Blob(place / file_name)
        raise FormatError(f"There is no {file_name} in {places[0]}; say where the images are.")

    def _masks(
        self, name: str, shapes: list[Any], size: tuple[int, int]
    ) -> list[tuple[str, NDArray[np.bool_], Mapping[str, Any]]]:
        """(label, mask, first shape) of each object, in the order of those."""
        found: dict[tuple[str, Any], tuple[str, NDArray[np.bool_], Mapping[str, Any]]] = {}
        for place, shape in enumerate(shapes):
            try:
                mask = _shape_mask(shape, size)
                if not mask.any():
                    raise FormatError("It has no pixel inside the image.")
            except FormatError as error:
                self._note(f"{name} shape {place}", f"{self.folder / name}.json: {error}")
                continue
            label, group = str(shape.get("label") or ""), shape.get("group_id")
            key = (label, ("group", group) if isinstance(group, int | str) else ("shape", place))
            if key in found:
                mask, shape = mask | found[key][1], found[key][2]
            found[key] = (label, mask, shape)
        return list(found.values())


def _shape_mask(shape: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    if not isinstance(shape, Mapping):
        raise FormatError("A shape must be a JSON object.")
    kind = shape.get("shape_type", "polygon")
    if kind in _WITHOUT_AREA:
        raise FormatError(f"A {kind} has no area and makes no mask.")
    points = _points(shape.get("points"))
    if kind in ("polygon", "oriented_rectangle"):
        return polygons_to_mask([points.reshape(-1)], size)
    if len(points) != 2:
        raise FormatError(f"A {kind} must have two points.")
    if kind == "rectangle":
        return polygons_to_mask([rectangle(*points.tolist())], size)
    if kind == "circle":
        return polygons_to_mask([circle(*points.tolist())], size)
    if kind == "mask":
        return _pasted(shape.get("mask"), points, size)
    raise FormatError(f"Shapes of the kind {str(kind)[:40]!r} are not known.")


def _points(value: Any) -> NDArray[np.float64]:
    try:
        points = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError("A shape's points must be a list of [x, y].") from error
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < 1e9).all():
        raise FormatError("A shape's points must be a list of finite [x, y].")
    return points


def _pasted(data: Any, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask from labelme's base64 PNG, laid down with its first pixel at the first corner."""
    try:
        part = images.as_mask(base64.b64decode(data, validate=True), max_pixels=size[0] * size[1])
    except (TypeError, ValueError, binascii.Error, ImageError) as error:
        raise FormatError(
            "A mask's picture must be a PNG in base64, no larger than the image."
        ) from error
    left, top = (round(value) for value in points.min(axis=0))
    mask = np.zeros(size, dtype=bool)
    bottom, right = top + part.shape[0], left + part.shape[1]
    if left < 0 or top < 0 or bottom > size[0] or right > size[1]:
        raise FormatError("A mask's picture reaches out of the image.")
    mask[top:bottom, left:right] = part
    return mask
