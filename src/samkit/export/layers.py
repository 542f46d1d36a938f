"""The layers of `modeling` as nodes of a graph."""

import torch
from torch import Tensor, nn

from samkit.export.graph import Operand, Value
from samkit.modeling.common import LayerNorm2d
from samkit.modeling.mask_decoder import MLP

GELU_OPSET = 20
"""The first opset that has GELU as a node."""


def linear(x: Value, layer: nn.Linear) -> Value:
    """x: ... x in. Returns ... x out."""
    return x @ layer.weight.T + layer.bias


def mlp(x: Value, layers: MLP) -> Value:
    """Linear layers with ReLU between them."""
    *first, last = (part for part in layers.layers if isinstance(part, nn.Linear))
    for layer in first:
        x = x.graph("Relu", linear(x, layer))
    return linear(x, last)


def parallel_mlps(x: Value, mlps: nn.ModuleList) -> Value:
    """One MLP for each row, all of one shape. x: K x in. Returns K x out."""
    stacks = zip(*(part.layers for part in mlps if isinstance(part, MLP)), strict=True)
    x = x.reshape(len(mlps), 1, -1)
    for i, layers in enumerate(stacks):
        if i:
            x = x.graph("Relu", x)
        weight = torch.stack([layer.weight.T for layer in layers])
        x = x @ weight + torch.stack([layer.bias for layer in layers])[:, None]
    return x.reshape(len(mlps), -1)


def gelu(x: Value) -> Value:
    """The exact one, by the error function."""
    graph = x.graph
    if graph.opset >= GELU_OPSET:
        return graph("Gelu", x)
    return x * (graph("Erf", x * 0.5**0.5) + 1.0) * 0.5


def relu(x: Value) -> Value:
    """What is above 0."""
    return x.graph("Relu", x)


def softmax_over_few(x: Value, axis: int) -> Value:
    """Softmax along a short axis that is not the last, for which the node would move all values."""
    exp = x.graph("Exp", x - x.reduce("ReduceMax", axis))
    return x.graph("Div", exp, exp.reduce("ReduceSum", axis))


def normalised(x: Value, norm: nn.LayerNorm | LayerNorm2d, axis: int = -1) -> Value:
    """Layer normalisation along an axis, step by step (docs/export.md)."""
    scale, shift = scale_and_shift(norm)
    shape = [-1, *[1] * (-1 - axis)]
    return of_unit_length(centred(x, axis), norm, axis) * scale.view(shape) + shift.view(shape)


def centred(x: Value, axis: int = -1) -> Value:
    """Less the mean along an axis."""
    return x - x.reduce("ReduceMean", axis)


def normalised_tokens(x: Value, norm: nn.LayerNorm) -> Value:
    """The same along the last axis of few rows, where one node is quicker than many."""
    return x.graph("LayerNormalization", x, norm.weight, norm.bias, axis=-1, epsilon=norm.eps)


def of_unit_length(x: Value, norm: nn.LayerNorm | LayerNorm2d, axis: int = -1) -> Value:
    """What is centred along an axis, with 1 (nearly: the norm's eps) as sum of squares."""
    graph = x.graph
    # A row of numbers and one number: onnxruntime is slow with a column and one number.
    squares = x.reduce("ReduceSumSquare", axis, keep=False)
    length = graph("Sqrt", squares + torch.tensor(norm.weight.numel() * norm.eps))
    return x * graph("Unsqueeze", graph("Reciprocal", length), graph.integers(axis))


def scale_and_shift(norm: nn.LayerNorm | LayerNorm2d) -> tuple[Tensor, Tensor]:
    """What makes the norm's result of `of_unit_length`: C each."""
    return norm.weight * norm.weight.numel() ** 0.5, norm.bias


def convolution(x: Value, layer: nn.Conv2d, bias: Tensor | None = None) -> Value:
    """x: B x C x h x w. bias: instead of the layer's own."""
    assert isinstance(layer.padding, tuple)
    own = layer.bias if bias is None else bias
    assert own is not None
    return x.graph(
        "Conv",
        x,
        layer.weight,
        own,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
    )


def product(a: Value, b: Operand, plus: Operand, transposed: bool = False) -> Value:
    """a @ b + plus, or a.T @ b + plus: one node, so that the sum is no pass of its own.

    a: n x k; b: k x m; plus: m or n x m.
    """
    return a.graph("Gemm", a, b, plus, transA=int(transposed))
