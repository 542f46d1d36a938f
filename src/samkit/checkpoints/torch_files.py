"""Reads what `torch.save` wrote, without ever running what a pickle asks for.

Only the zip format of PyTorch 1.6 and later is read, mapped rather than copied, and only by the
weights-only unpickler; there is no fallback. The archive is looked at first, so that nothing in it
can grow when it is unpacked.
"""

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samkit.checkpoints.weights import check_tensors, shown
from samkit.errors import CheckpointError

_LARGEST_PICKLE = 16 << 20
"""Bytes; the pickle only names the tensors, and that of ViT-H has under 100 kB."""
_MOST_ENTRIES = 65_536

_WRAPPERS = ("model", "state_dict", "model_state", "model_state_dict")
"""Keys under which training programs put the state dict beside their own state."""
_PREFIXES = ("module.", "model.", "sam.")
"""What wrappers around a model put before all its names."""


def read_torch(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.pth`, `.pt` or `.bin` file by its own names, mapped into memory.

    A state dict under one of the usual keys of training programs is found, and a prefix that all
    names share is dropped. Raises CheckpointError for anything that is not plain weights.
    """
    _check_archive(path)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_objects_sentence(path, error)) from error
    except Exception as error:  # whatever a hostile or cut file provokes inside the reader
        raise CheckpointError(
            f"{path} is damaged or cut short ({type(error).__name__}); download it again."
        ) from error
    return check_tensors(str(path), _without_prefix(_unwrapped(path, values)))


def _check_archive(path: Path) -> None:
    """Refuses archives that are cut short, compressed, or larger inside than outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, struct.error) as e:
        raise CheckpointError(
            f"{path} is damaged or cut short: the end of its archive is missing; download it again."
        ) from e
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path} is a compressed archive, which torch.save never writes; "
            "unpack it if it is a zip around a checkpoint."
        )
    pickles = [entry.file_size for entry in entries if entry.filename.endswith(".pkl")]
    if not pickles:
        raise CheckpointError(f"{path} is a zip archive, but not one that torch.save wrote.")
    if (
        len(entries) > _MOST_ENTRIES
        or sum(entry.file_size for entry in entries) > path.stat().st_size
        or max(pickles) > _LARGEST_PICKLE
    ):
        raise CheckpointError(f"{path} is hostile: its archive claims more than the file can hold.")


def _objects_sentence(path: Path, error: pickle.UnpicklingError) -> str:
    asked = re.search(r"GLOBAL (\S+) ", str(error))
    what = f" (it asks for {shown(asked[1])})" if asked else ""
    return (
        f"{path} holds Python objects besides weights{what}, and loading those could run code, so "
        "it was refused; save the model's state_dict() alone, best as safetensors."
    )


def _unwrapped(path: Path, values: Any) -> Mapping[Any, Any]:
    for key in _WRAPPERS:
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
            break
    if not isinstance(values, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(values).__name__} where a state dict belongs; "
            "save the model's state_dict()."
        )
    return values


def _without_prefix(values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    for prefix in _PREFIXES:
        if values and all(isinstance(name, str) and name.startswith(prefix) for name in values):
            return {name.removeprefix(prefix): value for name, value in values.items()}
    return values
