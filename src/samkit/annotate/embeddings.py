"""Embeddings as bytes: the format of the wire and of the cache, and the cache on the disk.

    uint32 little-endian      n, the length of the header
    n bytes                   header, JSON in UTF-8
    zeros                     up to a multiple of 16
    float16 little-endian     tensors in C order, each at header offset bytes after those zeros

The header holds model, crop [x0, y0, x1, y1], input_size [h, w] (of the crop after the resize),
original_size [H, W] (of the whole image), tensors [{name, shape, offset}] and the sha256 of the
tensors' bytes, by which damage on the disk is noticed.
"""

import contextlib
import hashlib
import json
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samkit.errors import FormatError

PREPROCESSING = "1"
"""Goes up when the way from a file's pixels to the encoder's input changes."""

Crop = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the upright image."""

_ALIGNMENT = 16
_LARGEST = np.finfo(np.float16).max
_SUFFIX = ".embedding"


def pack(
    model: str,
    crop: Crop,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
    tensors: Mapping[str, NDArray[Any]],
) -> bytes:
    """The bytes of an embedding; the tensors, of any float type, are rounded to float16."""
    parts, listed, offset = [], [], 0
    for name, tensor in tensors.items():
        half = np.clip(tensor, -_LARGEST, _LARGEST).astype("<f2")
        parts.append(half.tobytes())
        place = {"offset": offset, "bytes": half.nbytes}
        listed.append({"name": name, "shape": list(half.shape), **place})
        padding = -len(parts[-1]) % _ALIGNMENT
        parts.append(bytes(padding))
        offset += half.nbytes + padding
    data = b"".join(parts)
    header = {
        "model": model,
        "crop": list(crop),
        "input_size": list(input_size),
        "original_size": list(original_size),
        "tensors": listed,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + bytes(-(4 + len(text)) % _ALIGNMENT) + data


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float16]]]:
    """The header and the tensors, by name. Raises FormatError where any byte is not as written."""
    try:
        (length,) = struct.unpack_from("<I", data)
        header = json.loads(data[4 : 4 + length])
        rest = memoryview(data)[4 + length + -(4 + length) % _ALIGNMENT :]
        if hashlib.sha256(rest).hexdigest() != header["sha256"]:
            raise ValueError("the tensors have another hash")
        tensors, end = {}, 0
        for part in header["tensors"]:
            if part["offset"] != end:
                raise ValueError("a tensor does not begin where it should")
            tensor = np.frombuffer(rest, "<f2", part["bytes"] // 2, end).reshape(part["shape"])
            tensors[part["name"]] = tensor
            end += tensor.nbytes + -tensor.nbytes % _ALIGNMENT
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"The embedding is damaged ({error}); make it anew.") from error
    return header, tensors


@dataclass(frozen=True)
class Key:
    """What an embedding depends on: nothing else may."""

    sha256: str
    """Of the image's file."""
    model: str
    """Id of the weights."""
    input_side: int
    """Side of the encoder's input in pixels."""
    crop: Crop

    @property
    def file_name(self) -> str:
        """Below the cache's folder."""
        crop = "-".join(map(str, self.crop))
        return f"{self.model}/{self.sha256}-{crop}-{self.input_side}-{PREPROCESSING}{_SUFFIX}"


class Cache:
    """Embeddings on the disk; the least recently used ones go where they become too many bytes."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """folder: is made when something is written. max_bytes: of all files together."""
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._sizes = _sizes_by_age(folder)
        self._total = sum(self._sizes.values())

    @property
    def total(self) -> int:
        """Bytes of all files together."""
        return self._total

    def path(self, key: Key) -> Path:
        """Where an embedding lies or shall be written, whole or not at all."""
        return self.folder / key.file_name

    def __contains__(self, key: Key) -> bool:
        return key.file_name in self._sizes

    def get(self, key: Key) -> bytes | None:
        """The bytes of an embedding, checked, or None. A damaged file is removed."""
        if key not in self:
            return None
        path = self.path(key)
        try:
            data = path.read_bytes()
            header, _ = unpack(data)
            if (header["model"], header["crop"]) != (key.model, list(key.crop)):
                raise FormatError("The embedding is another image's.")
            with contextlib.suppress(OSError):
                os.utime(path)  # so that the order survives a restart
        except (OSError, FormatError):
            with self._lock:
                self._remove(key.file_name)
            return None
        with self._lock:
            if key.file_name in self._sizes:
                self._sizes.move_to_end(key.file_name)
        return data

    def add(self, key: Key) -> None:
        """Count a file that was just written, and make room; the newest always stays."""
        size = self.path(key).stat().st_size
        with self._lock:
            self._total += size - self._sizes.pop(key.file_name, 0)
            self._sizes[key.file_name] = size
            while self._total > self.max_bytes and len(self._sizes) > 1:
                self._remove(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        self._total -= self._sizes.pop(name, 0)
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()


def _sizes_by_age(folder: Path) -> "OrderedDict[str, int]":
    """Size of each file, the one that was used longest ago first."""
    found = []
    for path in folder.glob(f"*/*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            found.append((status.st_mtime_ns, name, status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
