"""Our own checkpoints: one safetensors file that says everything about its model.

The tensors have the official names; the metadata has one entry, "samkit", with this JSON:
{"format": 1, "config": SamConfig.to_dict(), "provenance": {…}}.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samkit.checkpoints.safetensors_files import (
    read_header_metadata,
    read_safetensors,
    write_safetensors,
)
from samkit.checkpoints.sizes import named
from samkit.checkpoints.weights import Contents, shown, tamed
from samkit.errors import CheckpointError, UsageError
from samkit.modeling import Sam, SamConfig

KEY = "samkit"
FORMAT = 1
"""Raised by one whenever older versions of samkit can no longer read what is written."""

STORED_AS = {"float32": torch.float32, "float16": torch.float16}


@dataclass(frozen=True)
class Metadata:
    """What one of our checkpoints says about its model."""

    config: SamConfig
    provenance: dict[str, Any]
    """Where the weights come from: by custom `data`, `recipe`, `metrics` and `licence`."""
    format: int = FORMAT


def save(
    sam: Sam,
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, Any],
    dtype: str | None = None,
) -> None:
    """Writes a model as one safetensors file, whole or not at all.

    provenance: JSON values about the data, the recipe, the metrics and the licence of the weights.
    dtype: "float32" or "float16" for how the floating tensors are stored; as they are where None.
    The same model and provenance give the same bytes. Raises UsageError for a provenance that is
    no JSON and for another dtype, CheckpointError for weights that are not finite as stored.
    """
    if dtype is not None and dtype not in STORED_AS:
        raise UsageError(f"Weights are stored as {' or '.join(STORED_AS)}, not as {dtype!r}.")
    about = {"format": FORMAT, "config": named(sam.config).to_dict(), "provenance": provenance}
    try:
        text = json.dumps(about, allow_nan=False, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"The provenance of a checkpoint must be plain JSON: {error}.") from error
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in sam.state_dict().items()}
    write_safetensors(path, tensors, {KEY: text})


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """Configuration and provenance of one of our checkpoints, without reading its weights.

    Raises CheckpointError where the file is damaged or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}.")
    metadata = read_header_metadata(path)
    if KEY not in metadata:
        raise CheckpointError(f"{path} is no checkpoint that samkit saved: its metadata is absent.")
    return parse_metadata(str(path), metadata[KEY])


def read_samkit(path: Path) -> Contents | None:
    """A checkpoint of ours; None for a safetensors file of another program."""
    if KEY not in read_header_metadata(path):
        return None
    tensors, metadata = read_safetensors(path)
    about = parse_metadata(str(path), metadata[KEY])
    return Contents(str(path), about.config, tensors)


def parse_metadata(source: str, text: str) -> Metadata:
    """The metadata out of its JSON; CheckpointError for anything that does not belong there."""
    try:
        about = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its metadata is no JSON.") from error
    version = about.get("format") if isinstance(about, dict) else None
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{source} is damaged: its metadata names no format version.")
    if version > FORMAT:
        raise CheckpointError(
            f"{source} was saved in format {shown(version)} by a newer samkit, and this one reads "
            f"up to {FORMAT}; update samkit."
        )
    provenance = about.get("provenance", {})
    if not isinstance(provenance, dict):
        raise CheckpointError(f"{source} is damaged: its provenance is no JSON object.")
    return Metadata(parse_config(source, about.get("config")), provenance, version)


def parse_config(source: str, values: Any) -> SamConfig:
    """A configuration out of JSON values, under the variant's name that it deserves."""
    try:
        return named(SamConfig.from_dict(values))
    except CheckpointError as error:
        raise CheckpointError(f"{source} is damaged: {tamed(str(error))}") from error
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise CheckpointError(f"{source} is damaged: its configuration is odd.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _stored(name: str, tensor: Tensor, dtype: str | None) -> Tensor:
    tensor = tensor.detach()
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(STORED_AS[dtype])
    if not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"The weights in {name} are not finite as {tensor.dtype}; nothing was saved."
        )
    return tensor
