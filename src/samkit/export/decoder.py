"""The prompt encoder and the mask decoder as one graph that answers one prompt."""

import copy
from typing import TYPE_CHECKING

import torch
from onnx import TensorProto
from torch import Tensor, nn

from samkit.export.attention import exchange
from samkit.export.cells import Cells
from samkit.export.constants import EMBEDDING, OUTPUT_NAMES, PROMPT_NAMES
from samkit.export.graph import Graph, Operand, Value
from samkit.export.layers import (
    gelu,
    mlp,
    of_unit_length,
    parallel_mlps,
    product,
    relu,
    scale_and_shift,
)
from samkit.export.prompts import Prompt, drawn_image, mask_features, point_tokens, positions
from samkit.inference.embeddings import embedding_shapes
from samkit.modeling import Sam
from samkit.modeling.common import LayerNorm2d
from samkit.modeling.mask_decoder import MULTI, MaskDecoder
from samkit.modeling.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from onnx import ModelProto


@torch.no_grad()
def prompted_decoder(sam: Sam, opset: int) -> "ModelProto":
    """An embedding and one prompt to the low-res logits and predicted IoU of all output tokens.

    Inputs, all float32: `image_embeddings` 1 x C x h x w, and finer features by name, as
    `Sam.encode` makes them; `point_coords` 1 x N x 2 (x, y) in pixels of the model's input and
    `point_labels` 1 x N with the labels' usual meanings, where a box is two points and nothing is
    padded here; `mask_input` 1 x 1 x 4h x 4w logits, which count where `has_mask_input` (1) is 1,
    not 0; `best_only` (1), 0 or 1. Outputs: `iou` 1 x 4 and `low_res_logits` 1 x 4 x 4h x 4w, or
    1 x 1 x 4h x 4w with `best_only`: those of the candidate with the highest predicted IoU.
    The weights are those of the model in float32, whatever it computes in.
    """
    encoder = copy.deepcopy(sam.prompt_encoder).cpu().float().eval()
    decoder = copy.deepcopy(sam.mask_decoder).cpu().float().eval()
    graph = Graph(opset)
    shapes = embedding_shapes(sam)
    image = graph.input(EMBEDDING, shapes.pop("features"))
    fine = {name: graph.input(name, shape) for name, shape in shapes.items()}
    h, w = encoder.mask_input_size
    sizes = ((1, "points", 2), (1, "points"), (1, 1, h, w), (1,), (1,))
    coords, labels, mask, has_mask, best_only = map(graph.input, PROMPT_NAMES, sizes)
    prompt = Prompt(coords.reshape(-1, 2), labels.reshape(-1, 1), mask, has_mask)
    if encoder.prompt_maps:
        cells = drawn_image(encoder, decoder.mixer, image, prompt)
    else:
        cells = _with_mask(encoder, image, prompt)
    out_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    sparse = graph.concat([out_tokens, point_tokens(encoder, prompt)], axis=0)
    tokens, keys = exchange(decoder.transformer, sparse, cells, positions(encoder, graph))
    iou = mlp(tokens.between(0, 1, 0), decoder.iou_prediction_head)
    count = decoder.num_mask_tokens
    weights = parallel_mlps(tokens.between(1, 1 + count, 0), decoder.output_hypernetworks_mlps)
    grid = encoder.image_embedding_size
    weights = weights.slice(*_drawn_tokens(iou, best_only, count), 0)
    flat = weights @ _upscaled(decoder, keys, grid, fine).permute(1, 0)  # 4 x N*4*4
    low_res = _to_image(flat, grid)
    outputs = (low_res, (1, "masks", h, w)), (iou, (1, count))
    return graph.model(dict(zip(OUTPUT_NAMES, outputs, strict=True)))


def _with_mask(encoder: PromptEncoder, image: Value, prompt: Prompt) -> Cells:
    """The image under a mask prompt: the last layer of the mask's convolutions is a matrix.

    It is image + no_mask without, image + features @ weight + bias with a mask.
    """
    last = encoder.mask_downscaling[-1]
    weight, bias = last.get_parameter("weight").flatten(1), last.get_parameter("bias")
    no_mask = encoder.no_mask_embed.weight  # 1 x C
    c, r = weight.shape
    features = mask_features(encoder, prompt.mask).reshape(r, -1).permute(1, 0)
    padded = features.graph("Pad", features, features.graph.integers(0, 0, 0, 1), 1.0)
    into = torch.cat([weight.T, bias - no_mask])
    return Cells(padded * prompt.has_mask, image.reshape(c, -1).permute(1, 0) + no_mask, into)


def _drawn_tokens(iou: Value, best_only: Value, count: int) -> tuple[Value, Value]:
    """First and last plus one, int64, of the tokens whose masks are drawn: all, or the best."""
    graph = iou.graph
    first = graph.integers(MULTI.start)
    best = graph("ArgMax", iou.between(MULTI.start, count, 1), axis=1, keepdims=0) + first
    chosen = graph("Cast", best_only, to=TensorProto.BOOL)
    start = graph("Where", chosen, best, graph.integers(0))
    return start, graph("Where", chosen, best + graph.integers(1), graph.integers(count))


def _upscaled(
    decoder: MaskDecoder, cells: Cells, grid: tuple[int, int], fine: dict[str, Value]
) -> Value:
    """Cells N x C to N*4*4 x C/8, as `MaskDecoder._upscale` does it, pixels with their cell.

    The norm takes the mean of every pixel away: so the layer before it, and the finer features that
    are added there, are centred beforehand. Finer features and bias are one matrix to add to.
    """
    first, norm, activation, second, _ = decoder.output_upscaling
    assert isinstance(first, nn.ConvTranspose2d) and isinstance(second, nn.ConvTranspose2d)
    assert isinstance(norm, LayerNorm2d)
    h, w = grid
    weight, bias = _centred(first.weight.permute(0, 2, 3, 1)), _centred(_bias(first))
    plus: Operand = bias.repeat(4)
    if "stride_4" in fine:
        finer = fine["stride_4"] - fine["stride_4"].reduce("ReduceMean", 1)
        by_cell = finer.reshape(-1, h, 2, w, 2).permute(1, 3, 2, 4, 0)
        plus = by_cell.reshape(h * w, -1) + plus
    x = cells.through(weight.flatten(1), plus).reshape(-1, first.out_channels)
    scale, shift = (value.repeat(4) for value in scale_and_shift(norm))
    x = of_unit_length(x, norm).reshape(h * w, -1) * scale + shift  # rows of few values are slow
    act = gelu if isinstance(activation, nn.GELU) else relu
    x = act(x).reshape(-1, first.out_channels)
    weight, plus = second.weight.permute(0, 2, 3, 1), _bias(second).repeat(4)
    if "stride_2" in fine:
        by_cell = fine["stride_2"].reshape(-1, h, 2, 2, w, 2, 2).permute(1, 4, 2, 5, 3, 6, 0)
        plus = by_cell.reshape(4 * h * w, -1) + plus
    return act(product(x, weight.flatten(1), plus).reshape(-1, second.out_channels))


def _to_image(flat: Value, grid: tuple[int, int]) -> Value:
    """Pixels in the layout of `_upscaled`, 4 x N*4*4, to 1 x 4 x 4h x 4w."""
    h, w = grid
    # (token, row of cells), column, y, x, finer y, finer x
    parted = flat.reshape(-1, w, 2, 2, 2, 2)
    parted = parted.permute(0, 2, 1, 3, 4, 5)  # onnxruntime is quick with one axis that moves
    return parted.permute(0, 1, 4, 2, 3, 5).reshape(1, -1, 4 * h, 4 * w)


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(dim=-1, keepdim=True)


def _bias(layer: nn.ConvTranspose2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
