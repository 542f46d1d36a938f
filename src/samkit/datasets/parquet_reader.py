"""Parquet in the layout of Hugging Face's datasets, read as pairs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from samkit.datasets.coco_reader import as_crowd
from samkit.datasets.document import ImageInfo, check_image, check_name, image_id_of, parse_json
from samkit.datasets.labels import with_added_fields
from samkit.datasets.pairs import Blob, MemoryBlob, Pair, PairReader
from samkit.datasets.parquet_files import arrow
from samkit.datasets.polygons import polygons_to_mask
from samkit.datasets.records import OWN_KEY, Record
from samkit.errors import FormatError, SamkitError, UsageError
from samkit.images import SUFFIXES
from samkit.masks import rle
from samkit.masks.runs import Bools

_COLUMNS = ("image", "name", "image_id", "width", "height", "objects")
_FLAT = ("segmentation", "category", "id", "iscrowd")
_LARGEST_GROUP = 1 << 32  # bytes
_LARGEST_BATCH = 1 << 26
_MOST_NAMES = 1 << 28  # characters of all together
_LONGEST_NAME = 1000
_MOST_ROWS = 50_000_000


class _Row(NamedTuple):
    """Where an image's row is."""

    file: Path
    group: int
    row: int


class ParquetReader(PairReader):
    """Reads Parquet files, a row for each image; see `parquet_files` for the columns.

    Needed are `image` (a struct of bytes and path, or bytes) and `segmentation`, a list with a COCO
    RLE or a list of polygons for each mask, by itself or in `objects`, which may be a struct of
    lists or a list of structs. Pairs come in the order of the files' names and of the rows; without
    a column `name` they are called after their image's path, or their place.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        images: str | Path | None = None,
        keep_crowds: bool = False,
    ) -> None:
        """path: a file, or a folder that is searched with its subfolders. images: where images lie
        that are not inside, if not beside their table. keep_crowds: whether crowd regions are
        records too.

        Raises UsageError where there is no such file, or pyarrow is missing.
        """
        super().__init__()
        arrow()
        self.path, self._keep_crowds = Path(path), keep_crowds
        self._images = None if images is None else Path(images)
        found = [self.path] if self.path.is_file() else sorted(self.path.rglob("*.parquet"))
        self._files = [file for file in found if not _is_hidden(file, self.path)]
        if not self._files:
            raise UsageError(f"There is no Parquet file at {path}; check the name.")
        self._rows: dict[str, _Row] = {}
        self._name_length = 0
        self._group: tuple[tuple[Path, int], Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_group": None}  # quicker read again than sent elsewhere

    def _iterate_names(self) -> Iterator[str]:
        if not self._rows:
            for file in self._files:
                try:
                    self._list(file)
                except FormatError as error:
                    self._note(str(file), str(error))
        yield from self._rows

    def _list(self, file: Path) -> None:
        _, parquet = arrow()
        try:
            with parquet.ParquetFile(file) as opened:
                columns = opened.schema_arrow.names
                if opened.metadata.num_rows > _MOST_ROWS:
                    raise FormatError(f"{file} has more than {_MOST_ROWS} rows and is not read.")
                if "image" not in columns or not {"objects", "segmentation"} & set(columns):
                    raise FormatError(f"{file} has no columns `image` and `objects`.")
                wanted = ["name"] if "name" in columns else ["image.path"]
                for group in range(opened.num_row_groups):
                    batches = _batches(file, opened, group, wanted)
                    rows = (row for batch in batches for row in batch.to_pylist())
                    for number, row in enumerate(rows):
                        self._add(_Row(file, group, number), row)
        except SamkitError:
            raise
        except Exception as error:  # what Arrow says of damaged files is of many kinds
            raise FormatError(f"{file} cannot be read as Parquet ({_line(error)}).") from error

    def _add(self, place: _Row, row: Mapping[str, Any]) -> None:
        fallback = f"{place.file.stem}-{place.group}-{place.row}"
        image = row.get("image")
        path = image.get("path") if isinstance(image, Mapping) else None
        name = row.get("name") or (PurePosixPath(path).with_suffix("").name if path else fallback)
        self._name_length += len(name) if isinstance(name, str) else 0
        if self._name_length > _MOST_NAMES or (isinstance(name, str) and len(name) > _LONGEST_NAME):
            raise FormatError(f"{place.file} has names of too many characters and is not read.")
        try:
            check_name(name if isinstance(name, str) else "")
        except SamkitError as error:
            self._note(f"{place.file}:{fallback}", str(error))
            return
        self._rows[name if name not in self._rows else f"{name}-{fallback}"] = place

    def _load(self, name: str) -> Pair:
        place = self._rows[name]
        try:
            row = self._read_group(place).slice(place.row, 1).to_pylist()[0]
        except SamkitError:
            raise
        except Exception as error:
            raise FormatError(f"{place.file} is damaged ({_line(error)}).") from error
        source = self._source(place.file, name, row.get("image"))
        info = _info(name, row, source)
        records = []
        for number, entry in enumerate(_entries(row)):
            try:
                record = _record(entry, number, info)
            except FormatError as error:
                self._note(f"{name} mask {number}", f"{place.file}: {error}")
                continue
            if entry.get("iscrowd") in (1, True):
                if not self._keep_crowds:
                    continue
                record = as_crowd(record)
            records.append(record)
        return Pair(name, info, records, source)

    def _read_group(self, place: _Row) -> Any:
        """The rows of a group; the latest one is kept, for they are asked for in order."""
        key = (place.file, place.group)
        if self._group is None or self._group[0] != key:
            pyarrow, parquet = arrow()
            with parquet.ParquetFile(place.file) as opened:
                known = [c for c in opened.schema_arrow.names if c in (*_COLUMNS, *_FLAT)]
                batches = list(_batches(place.file, opened, place.group, known))
                self._group = (key, pyarrow.Table.from_batches(batches))
        return self._group[1]

    def _source(self, file: Path, name: str, image: Any) -> Blob:
        """The image: bytes inside, or a file elsewhere."""
        data, path = image, None
        if isinstance(image, Mapping):
            data, path = image.get("bytes"), image.get("path")
        if isinstance(data, bytes):
            blob = MemoryBlob(file, member=str(path or name), data=data)
            if blob.suffix not in SUFFIXES:
                blob = replace(blob, member=f"{blob.member}{blob.head().suffix}")
            return blob
        if isinstance(path, str):
            return Blob((self._images or file.parent) / check_name(path))
        raise FormatError(f"{file}: {name} has no image.")


def _info(name: str, row: Mapping[str, Any], source: Blob) -> ImageInfo:
    height, width = row.get("height"), row.get("width")
    if height is None or width is None:
        height, width = source.head().size
    number = row.get("image_id")
    return check_image(
        {
            "image_id": image_id_of(name) if number is None else number,
            "width": width,
            "height": height,
            "file_name": source.file_name,
        }
    )


def _entries(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A mapping for each mask."""
    objects = row.get("objects", row)
    if isinstance(objects, list):
        return [entry for entry in objects if isinstance(entry, Mapping)]
    lists = objects if isinstance(objects, Mapping) else {}
    if not isinstance(lists.get("segmentation"), list):
        raise FormatError("A row has no list `segmentation`.")
    count = len(lists["segmentation"])
    whole = {k: v for k, v in lists.items() if isinstance(v, list) and len(v) == count}
    return [{key: value[number] for key, value in whole.items()} for number in range(count)]


def _record(entry: Mapping[str, Any], number: int, info: ImageInfo) -> Record:
    if isinstance(entry.get(OWN_KEY), str):
        entry = {**entry, OWN_KEY: parse_json(entry[OWN_KEY].encode())}
    category = entry.get("category")
    label = None if category is None else str(category)
    own_id = entry.get("id")
    record_id = own_id if isinstance(own_id, int) else number
    return with_added_fields(_mask(entry.get("segmentation"), info.size), record_id, entry, label)


def _mask(segmentation: Any, size: tuple[int, int]) -> Bools:
    if isinstance(segmentation, list):
        return polygons_to_mask(segmentation, size)
    if isinstance(segmentation, str | bytes):  # the counts alone
        segmentation = {"size": list(size), "counts": segmentation}
    mask = rle.decode(segmentation)
    if mask.shape != size:
        raise FormatError("The mask does not have the size of its image.")
    return np.asarray(mask)


def _batches(file: Path, opened: Any, group: int, columns: Sequence[str]) -> Iterator[Any]:
    """Some columns of a group of rows, few rows at a time.

    Raises FormatError where they need too much memory: what the file says of that need not be true,
    for a value that stands in it once may be that of a million rows.
    """
    said = _said_bytes(opened.metadata.row_group(group), columns)
    too_large = FormatError(
        f"{file} has a group of rows of over {_LARGEST_GROUP >> 30} GiB; write it again with "
        "smaller ones."
    )
    if said > _LARGEST_GROUP:
        raise too_large
    rows, found = min(1024, 1 + _LARGEST_BATCH // max(1, said)), 0
    for batch in opened.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
        found += batch.nbytes
        if found > _LARGEST_GROUP:
            raise too_large
        if any("dictionary<" in str(kind) for kind in batch.schema.types if kind.num_fields):
            raise FormatError(f"{file} has lists of dictionaries, which may be of any size.")
        yield batch


def _said_bytes(group: Any, columns: Sequence[str]) -> int:
    """How large a file says that some columns of a group of rows are, unpacked."""
    parts = [group.column(number) for number in range(group.num_columns)]
    wanted = tuple(f"{column}." for column in columns)
    sizes = [p.total_uncompressed_size for p in parts if f"{p.path_in_schema}.".startswith(wanted)]
    return sum(sizes)


def _is_hidden(file: Path, folder: Path) -> bool:
    inside = file.relative_to(folder) if file != folder else Path(file.name)
    return any(part.startswith(".") for part in inside.parts)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
