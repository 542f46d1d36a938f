"""What every reader hands on, and the checks that hold for tensors out of any file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from samkit.errors import CheckpointError
from samkit.modeling import SamConfig

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The types that weights may be stored in."""

_LISTED = 5
_LONGEST_TEXT = 200


@dataclass(frozen=True)
class Contents:
    """A checkpoint as its reader found it; the tensors may still lie in the mapped file."""

    source: str
    """The path, as error sentences name it."""
    config: SamConfig
    tensors: dict[str, Tensor]
    """By their official names."""


def check_tensors(source: str, values: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The values as ordinary tensors by name; CheckpointError where one is anything else.

    A tensor that claims more elements than its storage has (a repeated stride) is refused, so that
    nothing that is sized by its shape can outgrow the file.
    """
    if not values:
        raise CheckpointError(f"{source} holds no tensors, so it is no checkpoint of a model.")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{source} is no plain state dict: its entry {shown(name)} is a "
                f"{type(value).__name__} where a named tensor belongs."
            )
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise CheckpointError(f"{source} has an unusual kind of tensor, {shown(name)}.")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(
                f"{source} is damaged or hostile: {shown(name)} claims more values than it stores."
            )
    return dict(values)


def shown(text: object) -> str:
    """Text out of a file as an error sentence may hold it: quoted, printable and short."""
    return f"'{tamed(str(text))}'"


def tamed(text: str) -> str:
    """Text cut to a length that fits a sentence, with nothing in it that moves a cursor."""
    cut = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def listed(names: Iterable[str]) -> str:
    """The first few of some names and how many more there are."""
    names = list(names)
    text = ", ".join(names[:_LISTED])
    return text if len(names) <= _LISTED else f"{text} and {len(names) - _LISTED} more"
