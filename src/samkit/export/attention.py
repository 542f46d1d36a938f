"""The two-way transformer for one prompt, between few tokens and an image's many cells.

The graph of the decoder runs for one prompt at a time, in a browser. So no projection of the image
depends on the prompt: what does is multiplied by the tokens instead, which are few
(docs/performance.md), and everything else is left to be computed once an image, or once for all.
"""

import torch
from torch import Tensor, nn

from samkit.export.cells import Cells
from samkit.export.graph import Value
from samkit.export.layers import (
    centred,
    linear,
    normalised_tokens,
    of_unit_length,
    product,
    scale_and_shift,
    softmax_over_few,
)
from samkit.modeling.transformer import Attention, TwoWayAttentionBlock, TwoWayTransformer


def exchange(
    transformer: TwoWayTransformer, tokens: Value, cells: Cells, pe: Value
) -> tuple[Value, Cells]:
    """`TwoWayTransformer.exchange` of one prompt's tokens T x C with cells N x C at pe N x C."""
    queries = tokens
    for layer in transformer.layers:
        assert isinstance(layer, TwoWayAttentionBlock)
        queries, unit = _layer(layer, queries, cells, tokens, pe)
        scale, shift = scale_and_shift(layer.norm4)
        if layer is not transformer.layers[-1]:
            cells = Cells(unit * scale + shift)
    # What reads the cells after the last norm are products, with which its numbers can ride.
    cells = Cells(unit, into=torch.diag(scale), shift=shift)
    last = transformer.final_attn_token_to_image
    queries = queries + tokens_to_image(last, queries + tokens, cells, pe)
    return normalised_tokens(queries, transformer.norm_final_attn), cells


def _layer(
    layer: TwoWayAttentionBlock, queries: Value, cells: Cells, token_pe: Value, pe: Value
) -> tuple[Value, Value]:
    if layer.skip_first_layer_pe:
        queries = _self_attention(layer.self_attn, queries, queries)
    else:
        queries = queries + _self_attention(layer.self_attn, queries + token_pe, queries)
    queries = normalised_tokens(queries, layer.norm1)
    attended = tokens_to_image(layer.cross_attn_token_to_image, queries + token_pe, cells, pe)
    queries = normalised_tokens(queries + attended, layer.norm2)
    hidden = queries.graph("Relu", linear(queries, layer.mlp.lin1))
    queries = normalised_tokens(queries + linear(hidden, layer.mlp.lin2), layer.norm3)
    keys = centred_image_with_tokens(
        layer.cross_attn_image_to_token, cells, pe, queries + token_pe, queries
    )
    return queries, of_unit_length(keys, layer.norm4)


def _self_attention(attention: Attention, tokens: Value, values: Value) -> Value:
    n = attention.num_heads
    q = _heads(_scaled(linear(tokens, attention.q_proj), attention), n)
    k = _heads(linear(tokens, attention.k_proj), n)
    weights = q.graph("Softmax", q @ k.permute(0, 2, 1), axis=-1)
    seen = weights @ _heads(linear(values, attention.v_proj), n)
    return linear(_merged(seen), attention.out_proj)


def tokens_to_image(attention: Attention, tokens: Value, cells: Cells, pe: Value) -> Value:
    """What tokens T x C, positions included, see in the image: T x C."""
    n, value_proj = attention.num_heads, attention.v_proj
    q = linear(tokens, attention.q_proj)
    scores = _scores(attention, q, attention.k_proj, cells, pe)
    weights = scores.graph("Softmax", scores, axis=-1)  # heads x T x N
    width = value_proj.in_features if cells.into is None else len(cells.into)
    seen = cells.weighed(_flat(weights)).reshape(n, -1, width)
    values = seen @ _from_added(value_proj, cells, n).transpose(1, 2)  # heads x T x d
    if cells.known is None:
        shift = 0.0 if cells.shift is None else value_proj.weight @ cells.shift
        return linear(_merged(values) + (value_proj.bias + shift), attention.out_proj)
    known = _heads(linear(cells.known, value_proj), n)  # heads x N x d
    return linear(_merged(values + weights @ known), attention.out_proj)


def centred_image_with_tokens(
    attention: Attention, cells: Cells, pe: Value, tokens: Value, values: Value
) -> Value:
    """The image and what it hears from tokens T x C (positions included) and values: N x C.

    Every cell less its mean, which the norm would take away: so it need not be taken of all cells.
    """
    n = attention.num_heads
    k = linear(tokens, attention.k_proj)
    scores = _scores(attention, k, attention.q_proj, cells, pe)
    weights = softmax_over_few(scores, 1)  # over the tokens
    out_heads = attention.out_proj.weight.unflatten(1, (n, -1)).permute(1, 2, 0)  # heads x d x C
    told = _heads(linear(values, attention.v_proj), n) @ out_heads
    # The weights of a cell sum up to 1 in each head, so that the bias comes along with the rest.
    told = centred(told + attention.out_proj.bias / n)
    return product(_flat(weights), _flat(told), cells.centred, transposed=True)


def _scores(
    attention: Attention, tokens: Value, projection: nn.Linear, cells: Cells, pe: Value
) -> Value:
    """Projected tokens T x heads*d against the projection of all cells: heads x T x N."""
    n = attention.num_heads
    tokens = _heads(_scaled(tokens, attention), n)
    place = pe if cells.shift is None else pe + cells.shift
    known = linear(place if cells.known is None else cells.known + place, projection)
    known = known.reshape(0, n, -1).permute(1, 2, 0)  # heads x d x N
    asked = _flat(tokens @ _from_added(projection, cells, n))  # heads*T x R
    met = cells.met_by(asked)
    here = tokens @ known
    return here + met.graph("Reshape", met, here.graph("Shape", here))


def _scaled(queries: Value, attention: Attention) -> Value:
    width = attention.q_proj.out_features // attention.num_heads
    return queries * width**-0.5


def _from_added(projection: nn.Linear, cells: Cells, heads: int) -> Tensor:
    """What the projection makes of what was added: heads x d x R."""
    weight = projection.weight.unflatten(0, (heads, -1))
    return weight if cells.into is None else weight @ cells.into.T


def _heads(x: Value, heads: int) -> Value:
    """L x heads*d to heads x L x d."""
    return x.reshape(0, heads, -1).permute(1, 0, 2)


def _merged(x: Value) -> Value:
    """heads x T x d to T x heads*d."""
    by_token = x.permute(1, 0, 2)
    return x.graph("Flatten", by_token, axis=1)


def _flat(x: Value) -> Value:
    """heads x T x M to heads*T x M."""
    return x.graph("Flatten", x, axis=2)
