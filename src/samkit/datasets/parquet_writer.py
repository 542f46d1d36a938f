"""Parquet in the layout of Hugging Face's datasets, written so that nothing is lost on the way."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samkit.datasets.joining import JoiningWriter, is_part_joined
from samkit.datasets.labels import class_of
from samkit.datasets.pairs import PairReader
from samkit.datasets.parquet_files import DATA, arrow, schema
from samkit.datasets.parquet_reader import ParquetReader
from samkit.datasets.payload import Payload
from samkit.datasets.records import is_crowd, own_of
from samkit.errors import FormatError

PARTS = ".parts-parquet"
_MARK = ".samkit"
_GROUP_ROWS, _GROUP_BYTES = 100, 1 << 26


class ParquetWriter(JoiningWriter):
    """Writes OUT/data/train-00000-of-00001.parquet, …; use it in a `with` block.

    See `parquet_files` for the columns; nothing of a record is lost. The images are inside.
    """

    def __init__(self, folder: str | Path, *, file_bytes: int = 500_000_000) -> None:
        """folder: OUT. file_bytes: a file ends once its images are as large as that. Raises
        UsageError where pyarrow is missing.
        """
        arrow()
        super().__init__(folder, parts=PARTS, joined=DATA, mark=_MARK)
        self._limit = file_bytes

    def open_joined(self, folder: Path) -> PairReader:
        """A reader of the files."""
        return ParquetReader(folder, keep_crowds=True)

    def join(self, folder: Path, payloads: Iterable[Payload]) -> None:
        """Write the files."""
        pyarrow, parquet = arrow()
        files = _Files(folder, self._limit, pyarrow, parquet)
        try:
            for payload in payloads:
                files.add(_row(payload))
            files.end_file()
        finally:
            files.abandon()
        files.name_all()
        (folder / _MARK).touch()


def is_parquet_done(folder: str | Path, name: str) -> bool:
    """Whether an image and its masks are kept in OUT already."""
    return is_part_joined(Path(folder), PARTS, DATA, _MARK, name)


class _Files:
    """Rows on their way into files: groups of rows, so that one can be read without the others."""

    def __init__(self, folder: Path, limit: int, pyarrow: Any, parquet: Any) -> None:
        self._folder, self._limit = folder, limit
        self._pyarrow, self._parquet, self._schema = pyarrow, parquet, schema()
        self._rows: list[dict[str, Any]] = []
        self._waiting = self._written = self._count = 0
        self._open: Any = None

    def add(self, row: dict[str, Any]) -> None:
        """Take a row."""
        self._rows.append(row)
        self._waiting += len(row["image"]["bytes"])
        if len(self._rows) >= _GROUP_ROWS or self._waiting >= _GROUP_BYTES:
            self._write_group()
        if self._written >= self._limit:
            self.end_file()

    def end_file(self) -> None:
        """Finish the file that is open."""
        if self._rows or not self._count:
            self._write_group()
        if self._open is not None:
            self._open.close()
        self._open, self._written = None, 0

    def abandon(self) -> None:
        """Leave no file open, whatever happened; one that is not ended stays without an end."""
        if self._open is not None:
            with contextlib.suppress(Exception):  # what happened is being raised already
                self._open.close()

    def name_all(self) -> None:
        """Give the files their names, in which their number stands."""
        for number in range(self._count):
            name = f"train-{number:05}-of-{self._count:05}.parquet"
            os.rename(self._path(number), self._folder / name)

    def _write_group(self) -> None:
        if self._open is None:
            path = self._path(self._count)
            self._open = self._parquet.ParquetWriter(path, self._schema, compression="zstd")
            self._count += 1
        self._open.write_table(self._pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._written += self._waiting
        self._rows, self._waiting = [], 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.parquet"


def _row(payload: Payload) -> dict[str, Any]:
    records, info = payload.records, payload.info
    owns = [own_of(record) for record in records]
    if not -(2**63) <= info.image_id < 2**63:
        raise FormatError(f"{payload.name} has an image_id that Parquet cannot hold.")
    copied = ("id", "bbox", "area", "segmentation", "predicted_iou", "stability_score")
    objects: dict[str, list[Any]] = {
        key: [record[key] for record in records]  # type: ignore[literal-required]
        for key in (*copied, "crop_box", "point_coords")
    }
    objects["category"] = [class_of(record) for record in records]
    objects["iscrowd"] = [is_crowd(record) for record in records]
    objects["samkit"] = [json.dumps(own, ensure_ascii=False, allow_nan=False) for own in owns]
    return {
        "image": {"bytes": payload.image_bytes(), "path": info.file_name},
        "name": payload.name,
        "image_id": info.image_id,
        "width": info.width,
        "height": info.height,
        "objects": objects,
    }
