"""Attention between one prompt's tokens and an image of which much is known before any prompt.

The graph of the decoder runs for one prompt at a time, in a browser. So no projection of the image
depends on the prompt: what does is multiplied by the tokens instead, which are few
(docs/performance.md), and everything else is left to be computed once an image, or once for all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from samkit.modeling.mask_decoder import MaskDecoder
from samkit.modeling.transformer import Attention


@dataclass(frozen=True)
class Cells:
    """The cells of an image, N x C, as `fixed + added @ into`.

    A mask prompt of a published model is the best of cases: 16 values a cell reach the image by a
    matrix. After a layer of the transformer nothing is fixed any more.
    """

    added: Tensor
    """1 x N x R: depends on the prompt."""
    fixed: Tensor | None = None
    """1 x N x C: depends on the image alone; zero where None."""
    into: Tensor | None = None
    """R x C; the identity where None."""

    def __add__(self, other: Tensor) -> Tensor:
        """All together, and other 1 x N x C: what a residual connection asks for."""
        cells = self.added if self.into is None else self.added @ self.into
        if self.fixed is not None:
            cells = cells + self.fixed
        return cells + other


class CellAttention(nn.Module):
    """An `Attention` between tokens and image of a single prompt; the same up to rounding."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        self.q_proj, self.k_proj = attention.q_proj, attention.k_proj
        self.v_proj, self.out_proj = attention.v_proj, attention.out_proj

    def tokens_to_image(self, tokens: Tensor, image: Tensor | Cells, pe: Tensor) -> Tensor:
        """Tokens ask the image. tokens: 1 x T x C, positions included; image, pe: 1 x N x C."""
        cells = image if isinstance(image, Cells) else Cells(image)
        scores = self._scores(self.q_proj(tokens), self.k_proj, cells, pe)  # heads x T x N
        weights = torch.softmax(scores, dim=-1)
        seen = (weights.flatten(0, 1) @ _plain(cells.added)).unflatten(0, (self.heads, -1))
        values = seen @ self._from_added(self.v_proj, cells).transpose(1, 2)  # heads x T x d
        if cells.fixed is None:
            return self.out_proj(_merge(values) + self.v_proj.bias)
        known = self._split(self.v_proj(cells.fixed)).contiguous()  # heads x N x d
        return self.out_proj(_merge(values + weights @ known))

    def image_to_tokens(
        self, image: Tensor | Cells, pe: Tensor, tokens: Tensor, values: Tensor
    ) -> Tensor:
        """The image asks the tokens (1 x T x C, positions included), which answer with values."""
        cells = image if isinstance(image, Cells) else Cells(image)
        scores = self._scores(self.k_proj(tokens), self.q_proj, cells, pe)
        weights = torch.softmax(scores, dim=1).flatten(0, 1)  # over the tokens
        out_heads = self.out_proj.weight.unflatten(1, (self.heads, -1)).permute(1, 2, 0)
        told = (self._split(self.v_proj(values)) @ out_heads).flatten(0, 1)  # heads*T x C
        return (weights.T @ told + self.out_proj.bias)[None]

    def _scores(self, tokens: Tensor, projection: nn.Linear, cells: Cells, pe: Tensor) -> Tensor:
        """Projected tokens 1 x T x heads*d against the projection of all cells: heads x T x N."""
        tokens = self._split(tokens)
        tokens = tokens * tokens.shape[-1] ** -0.5
        known = projection(pe if cells.fixed is None else pe + cells.fixed)  # 1 x N x heads*d
        known = _plain(known).T.unflatten(0, (self.heads, -1)).contiguous()  # heads x d x N
        asked = (tokens @ self._from_added(projection, cells)).flatten(0, 1)  # heads*T x R
        return tokens @ known + (asked @ _plain(cells.added).T).unflatten(0, (self.heads, -1))

    def _from_added(self, projection: nn.Linear, cells: Cells) -> Tensor:
        """What the projection makes of what was added: heads x d x R."""
        weight = projection.weight.unflatten(0, (self.heads, -1))
        return weight if cells.into is None else weight @ cells.into.T

    def _split(self, x: Tensor) -> Tensor:
        return _plain(x).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # heads x L x d


def with_cell_attention(decoder: MaskDecoder) -> MaskDecoder:
    """The decoder, whose attention between tokens and image now serves single prompts."""
    transformer = decoder.transformer
    for layer in transformer.layers:
        for name in ("cross_attn_token_to_image", "cross_attn_image_to_token"):
            layer.set_submodule(name, CellAttention(getattr(layer, name)))
    transformer.set_submodule(
        "final_attn_token_to_image", CellAttention(transformer.final_attn_token_to_image)
    )
    return decoder


def _plain(x: Tensor) -> Tensor:
    return x.flatten(0, 1)  # without the batch of one; an index would be a copy in the graph


def _merge(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1)[None]  # 1 x T x heads*d
