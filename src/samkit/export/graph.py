"""An ONNX graph that is written down as arithmetic: values, operators on them, constants.

The decoder's graph is written with it, node by node, since what runs in a browser is counted in
passes over the image's cells, which a trace of the model cannot know to spare.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

IR_VERSION = 10
"""Of the file format, which runtimes of 2024 and later read."""

Operand = Union["Value", Tensor, float]
"""A value of the graph, or a constant; a number is one of float32."""


class Graph:
    """Nodes and weights as they come; `model` makes them a file's content."""

    def __init__(self, opset: int) -> None:
        """opset: 18 or later. From 20 on GELU is one node."""
        self.opset = opset
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[Any] = []
        self._numbers = itertools.count()

    def input(self, name: str, shape: Sequence[int | str]) -> "Value":
        """An input of float32; a size that is a name may be any number."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return Value(self, name)

    def constant(self, tensor: Tensor) -> "Value":
        """A weight: float32 or int64, as the tensor is; equal ones are kept once."""
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"w{next(self._numbers)}"
            self._initializers.append(numpy_helper.from_array(array, name))
        return Value(self, self._constants[key])

    def __call__(self, kind: str, *operands: Operand, **attributes: Any) -> "Value":
        """The first output of a node of this kind."""
        names = [self.value(operand).name for operand in operands]
        made = f"v{next(self._numbers)}"
        self._nodes.append(helper.make_node(kind, names, [made], made, **attributes))
        return Value(self, made)

    def value(self, operand: Operand) -> "Value":
        """An operand as a value."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Tensor):
            return self.constant(operand)
        return self.constant(torch.tensor(operand, dtype=torch.float32))

    def integers(self, *numbers: int) -> "Value":
        """A list of int64, as shapes and axes are given."""
        return self.constant(torch.tensor(numbers, dtype=torch.int64))

    def concat(self, operands: Sequence[Operand], axis: int) -> "Value":
        """Side by side along an axis."""
        return self("Concat", *operands, axis=axis)

    def model(self, outputs: dict[str, tuple["Value", Sequence[int | str]]]) -> "ModelProto":
        """The whole, with outputs by name, each with its shape."""
        named = [
            helper.make_node("Identity", [value.name], [name])
            for name, (value, _) in outputs.items()
        ]
        graph = helper.make_graph(
            [*self._nodes, *named],
            "samkit",
            self._inputs,
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, (_, shape) in outputs.items()
            ],
            self._initializers,
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSION,
            producer_name="samkit",
        )


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a graph. Operators are those of torch, broadcasting included."""

    graph: Graph
    name: str

    def __add__(self, other: Operand) -> "Value":
        return self.graph("Add", self, other)

    def __sub__(self, other: Operand) -> "Value":
        return self.graph("Sub", self, other)

    def __mul__(self, other: Operand) -> "Value":
        return self.graph("Mul", self, other)

    def __truediv__(self, other: Operand) -> "Value":
        return self.graph("Div", self, other)

    def __matmul__(self, other: Operand) -> "Value":
        return self.graph("MatMul", self, other)

    def reshape(self, *shape: int) -> "Value":
        """0 leaves a size as it is, -1 takes what is left."""
        return self.graph("Reshape", self, self.graph.integers(*shape))

    def permute(self, *axes: int) -> "Value":
        """The axes in another order."""
        return self.graph("Transpose", self, perm=axes)

    def reduce(self, kind: str, *axes: int, keep: bool = True) -> "Value":
        """ReduceMean and its like over axes, which stay as ones where `keep`."""
        return self.graph(kind, self, self.graph.integers(*axes), keepdims=int(keep))

    def slice(self, starts: "Value", ends: "Value", *axes: int) -> "Value":
        """From starts up to ends, lists of as many int64 as there are axes."""
        return self.graph("Slice", self, starts, ends, self.graph.integers(*axes))

    def between(self, start: int, end: int, axis: int) -> "Value":
        """From start up to end along an axis."""
        return self.slice(self.graph.integers(start), self.graph.integers(end), axis)
