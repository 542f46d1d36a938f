"""One prompt as nodes of a graph: tokens of its points, and what it changes of the image.

A prompt that is drawn (`PromptEncoder.prompt_maps`) changes only the cells around it before the
transformer. So a window of the image is computed anew, and the rest is known before the prompt.
"""

import math
from dataclasses import dataclass, replace

import torch
from onnx import TensorProto
from torch import nn

from samkit.export.cells import Cells, Rectangle
from samkit.export.graph import Graph, Value
from samkit.export.layers import convolution, gelu, normalised
from samkit.modeling.common import LayerNorm2d
from samkit.modeling.mask_decoder import MixerBlock
from samkit.modeling.prompt_encoder import (
    CLICK_SIGMA,
    LABEL_BACKGROUND,
    LABEL_BOTTOM_RIGHT,
    LABEL_FOREGROUND,
    LABEL_PADDING,
    LABEL_TOP_LEFT,
    PromptEncoder,
)

CLICK_REACH = 6 * CLICK_SIGMA
"""Pixels beyond which a drawn click counts as nothing: it is 1.5e-8 there, of 1 in its middle."""

_FAR = 1e6  # pixels; further than any image reaches


@dataclass(frozen=True)
class Prompt:
    """The prompt's inputs of the graph."""

    coords: Value
    """N x 2 (x, y) in pixels of the model's input, half a pixel not yet added."""
    labels: Value
    """N x 1."""
    mask: Value
    """1 x 1 x 4h x 4w."""
    has_mask: Value
    """1: 0 or 1."""


def point_tokens(encoder: PromptEncoder, prompt: Prompt) -> Value:
    """`PromptEncoder.embed_points` without padding: N x C."""
    graph = prompt.coords.graph
    h, w = encoder.input_image_size
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    unit = (prompt.coords + 0.5) * torch.tensor([2.0 / w, 2.0 / h]) - 1.0
    phase = unit @ (matrix * (2 * math.pi))
    place = graph.concat([graph("Sin", phase), graph("Cos", phase)], axis=1)
    padding = graph("Equal", prompt.labels, float(LABEL_PADDING))
    tokens = graph("Where", padding, encoder.not_a_point_embed.weight, place)
    for label, embedding in enumerate(encoder.point_embeddings):
        kind = embedding.get_parameter("weight")
        tokens = tokens + graph("Where", _is(prompt, label), kind, torch.zeros_like(kind))
    return tokens


def positions(encoder: PromptEncoder, graph: Graph) -> Value:
    """The encoding of every cell's place, N x C; computed when a runtime loads the graph."""
    h, w = encoder.image_embedding_size
    y, x = torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")
    unit = 2 * torch.stack([x, y], dim=-1).flatten(0, 1) - 1
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    phase = graph.constant(unit) @ (matrix * (2 * math.pi))
    return graph.concat([graph("Sin", phase), graph("Cos", phase)], axis=1)


def mask_features(encoder: PromptEncoder, maps: Value) -> Value:
    """All but the last layer of the mask's convolutions."""
    for layer in list(encoder.mask_downscaling)[:-1]:
        if isinstance(layer, nn.Conv2d):
            maps = convolution(maps, layer)
        elif isinstance(layer, LayerNorm2d):
            maps = normalised(maps, layer, axis=-3)
        else:
            maps = gelu(maps)
    return maps


def drawn_image(
    encoder: PromptEncoder, mixer: nn.Sequential, image: Value, prompt: Prompt
) -> Cells:
    """The image 1 x C x h x w under a prompt that is drawn, and mixed.

    What no prompt reaches is the mixed image under nothing drawn, which the image alone decides.
    """
    graph = image.graph
    h, w = encoder.image_embedding_size
    no_mask = encoder.no_mask_embed.weight[..., None, None]
    last = encoder.mask_downscaling[-1]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        weight = encoder.no_mask_embed.weight
        nothing = encoder.mask_downscaling(weight.new_zeros(1, 4, 4, 4))  # 1 x C x 1 x 1
        bias = last.get_parameter("bias") - nothing.flatten()
    untouched = image + (no_mask + nothing)
    channels = encoder.embed_dim
    settled = _mixed(untouched, mixer).permute(0, 2, 3, 1).reshape(h, w, channels)
    prompt = _with_padding(prompt)
    window = _window(encoder, prompt, _reach(mixer))
    maps = _drawn(encoder, prompt, window.outer)
    change = convolution(mask_features(encoder, maps), last, bias)
    change = change - graph.constant(no_mask) * prompt.has_mask
    inner, outer = window.inner, window.outer
    wanted = (inner.start - outer.start, inner.end - outer.start)
    around = untouched.slice(outer.start, outer.end, 2, 3)
    anew = _mixed(around + change, mixer, wanted).permute(0, 2, 3, 1)
    return Cells(anew.reshape(-1, channels) - inner.cut(settled), settled, where=inner)


@dataclass(frozen=True)
class _Window:
    """The prompt changes nothing outside the inner rectangle.

    The outer one is what its values need; it ends at the grid's borders or where the mixer's
    convolutions no longer reach the inner one.
    """

    inner: Rectangle
    outer: Rectangle


def _with_padding(prompt: Prompt) -> Prompt:
    """The same prompt with one more point, which is none: so that there is one at least."""
    graph = prompt.coords.graph
    return replace(
        prompt,
        coords=graph.concat([prompt.coords, torch.zeros(1, 2)], axis=0),
        labels=graph.concat([prompt.labels, torch.full((1, 1), float(LABEL_PADDING))], axis=0),
    )


def _window(encoder: PromptEncoder, prompt: Prompt, reach: int) -> _Window:
    """reach: how many cells further the mixer carries a change."""
    graph = prompt.coords.graph
    drawn = graph("Greater", prompt.labels, float(LABEL_PADDING))
    grid = torch.tensor(encoder.image_embedding_size)
    anywhere = prompt.has_mask * (2 * _FAR)

    def cells(kind: str, margin: float) -> Value:
        """The least or the greatest place of all points, as (y, x) in cells."""
        outside = graph("Where", drawn, prompt.coords, -math.copysign(_FAR, margin))
        extreme = outside.reduce(kind, 0, keep=False) + margin
        extreme = extreme + anywhere * math.copysign(1, margin)
        cell = graph("Floor", extreme * (1 / encoder.stride))
        return graph("Gather", graph("Cast", cell, to=TensorProto.INT64), graph.integers(1, 0))

    far, one = graph.integers(reach), graph.integers(1)
    start = cells("ReduceMin", -CLICK_REACH) - far
    start = graph("Max", graph("Min", start, grid - 1), torch.zeros_like(grid))
    end = cells("ReduceMax", CLICK_REACH) + far + one
    end = graph("Min", graph("Max", end, start + one), grid)
    first = graph("Max", start - far, torch.zeros_like(grid))
    last = graph("Min", end + far, grid)
    size = encoder.image_embedding_size
    return _Window(Rectangle(start, end, size), Rectangle(first, last, size))


def _drawn(encoder: PromptEncoder, prompt: Prompt, window: Rectangle) -> Value:
    """`PromptEncoder.draw` and the mask, in a window of cells: 1 x 4 x 4h' x 4w'."""
    graph = prompt.coords.graph
    four = graph.integers(4)
    start, end = window.start * four, window.end * four
    pixel = encoder.stride / 4

    def places(axis: int) -> Value:
        middle = torch.arange(encoder.mask_input_size[axis]) * pixel + (pixel / 2 - 0.5)
        first, last = (edge.between(axis, axis + 1, 0) for edge in (start, end))
        return graph.constant(middle[None]).slice(first, last, 1)  # 1 x n

    y, x = places(0), places(1)
    px, py = (prompt.coords.between(i, i + 1, 1) for i in range(2))  # N x 1

    def bell(at: Value, middle: Value) -> Value:
        away = at - middle
        return graph("Exp", away * away * (-0.5 / CLICK_SIGMA**2))  # N x n

    by_y, by_x = bell(y, py), graph("Unsqueeze", bell(x, px), graph.integers(1))

    def clicks(label: int) -> Value:
        rows = graph("Where", _is(prompt, label), by_y, 0.0)
        brightest = graph("Unsqueeze", rows, graph.integers(2)) * by_x  # N x 4h' x 4w'
        return brightest.reduce("ReduceMax", 0)

    def corner(label: int) -> list[Value]:
        """How many points are this corner, and the sums of their x and y, 1 x 1 each."""
        is_it = graph("Where", _is(prompt, label), 1.0, 0.0)
        return [value.reduce("ReduceSum", 0) for value in (is_it, is_it * px, is_it * py)]

    def covered(at: Value, low: Value, high: Value) -> Value:
        overlap = graph("Min", at + pixel / 2, high) - graph("Max", at - pixel / 2, low)
        return graph("Clip", overlap * (1 / pixel), 0.0, 1.0)

    (ones, x0, y0), (others, x1, y1) = corner(LABEL_TOP_LEFT), corner(LABEL_BOTTOM_RIGHT)
    is_box = graph("Where", graph("Greater", ones * others, 0.0), 1.0, 0.0)
    down, across = covered(y, y0, y1).permute(1, 0), covered(x, x0, x1) * is_box
    box = graph("Unsqueeze", down * across, graph.integers(0))
    drawn = [clicks(LABEL_FOREGROUND), clicks(LABEL_BACKGROUND), box]
    mask = prompt.mask.slice(start, end, 2, 3) * prompt.has_mask
    return graph.concat([graph("Unsqueeze", graph.concat(drawn, 0), graph.integers(0)), mask], 1)


def _mixed(image: Value, mixer: nn.Sequential, wanted: tuple[Value, Value] | None = None) -> Value:
    """`MaskDecoder.mixer`, channels first. wanted: cells of the result, from and up to (y, x)."""
    *_, last = mixer
    for block in mixer:
        assert isinstance(block, MixerBlock)
        y = convolution(image, block.depthwise)
        if block is last and wanted is not None:  # the rest stays within a cell
            y, image = (value.slice(*wanted, 2, 3) for value in (y, image))
        y = gelu(normalised(y, block.norm, axis=-3))
        weight = block.pointwise.weight[..., None, None]
        image = image + image.graph("Conv", y, weight, block.pointwise.bias)
    return image


def _reach(mixer: nn.Sequential) -> int:
    """How many cells away a cell changes what the mixer makes of another."""
    return sum(block.depthwise.dilation[0] for block in mixer if isinstance(block, MixerBlock))


def _is(prompt: Prompt, label: int) -> Value:
    return prompt.labels.graph("Equal", prompt.labels, float(label))
