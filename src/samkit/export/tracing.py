"""A module becomes an ONNX graph, its weights inside."""

import importlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from samkit.errors import UsageError
from samkit.extras import how_to_install

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
"""The first that has GELU as one node; the page's runtime knows it."""
LOWEST_OPSET = 18
"""The first that torch writes."""
HIGHEST_OPSET = 23
"""The last that is tested; what runtimes and browsers know ends somewhere."""


def trace(
    module: nn.Module, argument: Tensor, input_name: str, output_names: Sequence[str], opset: int
) -> "ModelProto":
    """The graph of `module(argument)`, all of whose sizes are those given.

    Raises UsageError where the packages that write ONNX are missing or do not know the opset.
    """
    require_packages("onnx", "onnxscript")
    require_opset(opset)
    with torch.no_grad(), _quietly():
        program = torch.onnx.export(
            module.eval(),
            (argument,),
            input_names=[input_name],
            output_names=list(output_names),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # which it is only for the older exporter
    model = program.model_proto
    written = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if written != opset:
        raise UsageError(
            f"This torch cannot write opset {opset} for the model, only {written}; "
            f"leave --opset out for {OPSET}."
        )
    _forget_origin(model)
    return model


def require_packages(*names: str) -> None:
    """UsageError where one of the packages that write ONNX is missing."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(
                f"Writing ONNX needs the package {name}: {how_to_install('onnx')}"
            ) from error


def require_opset(opset: int) -> None:
    """UsageError where it is not one of those that we write."""
    if not LOWEST_OPSET <= opset <= HIGHEST_OPSET:
        raise UsageError(
            f"ONNX is written in opset {LOWEST_OPSET} to {HIGHEST_OPSET}, not {opset}; "
            f"leave --opset out for {OPSET}."
        )


def _forget_origin(model: "ModelProto") -> None:
    """Removes the exporter's notes, which say where each node came from in whose files."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        noted.doc_string = ""
        del noted.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's notes on packages of others and on its own future."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
