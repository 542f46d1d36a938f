"""Safetensors files in and out.

Format (huggingface/safetensors): 8 bytes little-endian length of the header, the header as JSON
({name: {dtype, shape, data_offsets}}, with text to text under "__metadata__"), then the values.
"""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from samkit.checkpoints.weights import check_tensors, shown
from samkit.errors import CheckpointError
from samkit.files import atomic_write

_LARGEST_HEADER = 16 << 20
"""Bytes; the header of ViT-H has 60 kB. The library itself would read 100 MB."""

_CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, mapped into memory, and its metadata.

    Raises CheckpointError where the header is too long, damaged, or disagrees with the file's size.
    """
    _check_header_length(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged or cut short: {shown(error)}; download or save it again."
        ) from error
    return check_tensors(str(path), tensors), metadata


def read_header_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file, without touching its tensors; errors as `read_safetensors`."""
    _check_header_length(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or cut short: {shown(error)}; download or save it again."
        ) from error


def is_safetensors(start: bytes) -> bool:
    """Whether the first 9 bytes of a file are those of a safetensors file of any length."""
    return len(start) >= 9 and start[8:9] == b"{"


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes a file whole or not at all, one tensor after the other, sorted by name.

    The same tensors and metadata give the same bytes. No second copy of the model is made.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    # Wider types first, as the library sorts them: every tensor then begins at a multiple of its
    # element's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            values = tensors[name].detach().cpu().contiguous().reshape(-1)
            file.write(values.view(torch.uint8).numpy().data)


def _check_header_length(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(8)
    size = path.stat().st_size
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if length > size - 8:
        raise CheckpointError(f"{path} is damaged or cut short; download or save it again.")
    if length > _LARGEST_HEADER:
        raise CheckpointError(
            f"{path} is hostile: its header claims {length:,} bytes, more than any model needs."
        )
