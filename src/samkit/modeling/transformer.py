"""The two-way transformer between prompt tokens and the image (SAM section 3, appendix A).

A handful of tokens meets thousands of image cells. Attention between them is written so that the
image is never projected for one prompt alone: the projection of the image is moved over to the few
tokens (W(x) . q = x . W^T q), or, where all prompts still see the same image, done once for all.
The numbers agree with the plain order of products within rounding.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.common import MLPBlock
from samkit.modeling.config import MaskDecoderConfig

MANY_TOKENS = 16
"""From about here on, projecting the image costs less than meeting it with every token."""


@dataclass(frozen=True)
class SharedImage:
    """One image that no prompt has touched yet, and how the first layer's attentions see it."""

    cells: Tensor
    """1 x N x C."""
    key: Tensor
    """1 x heads x N x d, of tokens to image; value likewise."""
    value: Tensor
    query: Tensor
    """1 x heads x N x d, of image to tokens."""


class TwoWayTransformer(nn.Module):
    """Layers of token self-attention, tokens to image, MLP, and image to tokens."""

    def __init__(self, config: MaskDecoderConfig, embedding_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(config, embedding_dim, skip_first_layer_pe=i == 0)
            for i in range(config.transformer_depth)
        )
        self.final_attn_token_to_image = Attention(
            embedding_dim, config.num_heads, config.attention_downsample_rate
        )
        self.norm_final_attn = nn.LayerNorm(embedding_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        image_embedding: Tensor | SharedImage,
        image_pe: Tensor,
        point_embedding: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Lets tokens and image exchange what they know.

        image_embedding: B x C x h x w, or 1 x C x h x w (or what `share` made of it) where all B
        prompts share it. image_pe: 1 x C x h x w. point_embedding: B x T x C.
        Returns the tokens B x T x C and the image B x h*w x C.
        """
        key_pe = _as_cells(image_pe)
        if isinstance(image_embedding, SharedImage):
            return self.exchange(image_embedding.cells, key_pe, point_embedding, image_embedding)
        keys = _as_cells(image_embedding)
        if keys.shape[0] == 1:
            keys = keys.contiguous()
        return self.exchange(keys, key_pe, point_embedding)

    def share(self, image_embedding: Tensor, image_pe: Tensor) -> SharedImage:
        """The first layer's projections of an image, done once for any number of prompts.

        image_embedding, image_pe: 1 x C x h x w.
        """
        cells = _as_cells(image_embedding).contiguous()
        first = cast(TwoWayAttentionBlock, self.layers[0])
        return first.share(cells, _as_cells(image_pe))

    def exchange(
        self,
        keys: Tensor,
        key_pe: Tensor,
        point_embedding: Tensor,
        shared: SharedImage | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The same for an image that is already a list of cells: B or 1 x N x C."""
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, point_embedding, key_pe, shared)
            shared = None  # from here on every prompt has an image of its own
        attended = self.final_attn_token_to_image.tokens_to_image(
            queries + point_embedding, keys, key_pe
        )
        return self.norm_final_attn(queries + self.dropout(attended)), keys


class TwoWayAttentionBlock(nn.Module):
    """One layer; positions are added again at every attention."""

    def __init__(
        self, config: MaskDecoderConfig, embedding_dim: int, skip_first_layer_pe: bool
    ) -> None:
        super().__init__()
        heads, rate = config.num_heads, config.attention_downsample_rate
        self.self_attn = Attention(embedding_dim, heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(embedding_dim, heads, rate)
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, config.mlp_dim, nn.ReLU)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(embedding_dim, heads, rate)
        self.skip_first_layer_pe = skip_first_layer_pe
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        query_pe: Tensor,
        key_pe: Tensor,
        shared: SharedImage | None = None,
    ) -> tuple[Tensor, Tensor]:
        """queries, query_pe: B x T x C; keys: B or 1 x N x C; key_pe: 1 x N x C. Returns both.

        shared: what `share` made of the keys, where that has been done.
        """
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            q = queries + query_pe
            queries = queries + self.dropout(self.self_attn(q, q, queries))
        queries = self.norm1(queries)
        attended = self.cross_attn_token_to_image.tokens_to_image(
            queries + query_pe, keys, key_pe, (shared.key, shared.value) if shared else None
        )
        queries = self.norm2(queries + self.dropout(attended))
        queries = self.norm3(queries + self.dropout(self.mlp(queries)))
        attended = self.cross_attn_image_to_token.image_to_tokens(
            keys, key_pe, queries + query_pe, queries, shared.query if shared else None
        )
        return queries, self.norm4(keys + self.dropout(attended))

    def share(self, cells: Tensor, pe: Tensor) -> SharedImage:
        """cells, pe: 1 x N x C."""
        asked, asking = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        key, value = asked.project_asked(cells, pe)
        return SharedImage(cells, key, value, asking.project_asking(cells, pe))


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than the embedding."""

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inner)
        self.k_proj = nn.Linear(embedding_dim, inner)
        self.v_proj = nn.Linear(embedding_dim, inner)
        self.out_proj = nn.Linear(inner, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q: B x L x C; k, v: B x M x C. Returns B x L x C: the plain order of products."""
        q = self._split(self.q_proj(q))
        k = self._split(self.k_proj(k))
        v = self._split(self.v_proj(v))
        return self.out_proj(_merge(F.scaled_dot_product_attention(q, k, v)))

    def project_asked(self, image: Tensor, pe: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values B x heads x N x d of an image B x N x C that tokens ask."""
        return self._split(self.k_proj(image + pe)), self._split(self.v_proj(image))

    def project_asking(self, image: Tensor, pe: Tensor) -> Tensor:
        """Queries B x heads x N x d of an image B x N x C that asks tokens."""
        return self._split(self.q_proj(image + pe))

    def tokens_to_image(
        self,
        tokens: Tensor,
        image: Tensor,
        pe: Tensor,
        projected: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Tokens ask the image: the same as forward(tokens, image + pe, image).

        tokens: B x T x C, positions included; image: B or 1 x N x C; pe: 1 x N x C.
        projected: what `project_asked` gives for the image, where that has been done.
        """
        b, t, _ = tokens.shape
        q = self._split(self.q_proj(tokens))  # B x heads x T x d
        if image.shape[0] == 1 and (projected or b * t > MANY_TOKENS):  # all prompts' at once
            k, v = projected or self.project_asked(image, pe)
            together = q.transpose(0, 1).flatten(1, 2)[None]  # 1 x heads x B*T x d
            out = F.scaled_dot_product_attention(together, k, v)[0].unflatten(1, (b, t))
            return self.out_proj(_merge(out.transpose(0, 1)))
        if t > MANY_TOKENS:
            k, v = self.project_asked(image, pe)
            return self.out_proj(_merge(F.scaled_dot_product_attention(q, k, v)))
        q = q * q.shape[-1] ** -0.5
        asked = (q @ self._heads_of(self.k_proj)).flatten(1, 2)  # B x heads*T x C
        constant = (q @ self.k_proj.bias.view(self.num_heads, -1, 1)).flatten()
        scores = self._scores(asked, constant, image, pe)
        seen = torch.softmax(scores, dim=-1) @ image.expand(b, -1, -1)  # B x heads*T x C
        seen = seen.unflatten(1, (self.num_heads, -1))  # B x heads x T x C
        values = seen @ self._heads_of(self.v_proj).transpose(1, 2)  # B x heads x T x d
        return self.out_proj(_merge(values) + self.v_proj.bias)

    def image_to_tokens(
        self,
        image: Tensor,
        pe: Tensor,
        tokens: Tensor,
        values: Tensor,
        projected: Tensor | None = None,
    ) -> Tensor:
        """The image asks the tokens: the same as forward(image + pe, tokens, values).

        image: B or 1 x N x C; pe: 1 x N x C; tokens (positions included) and values: B x T x C.
        projected: what `project_asking` gives for the image, where that has been done.
        """
        b, t, c = tokens.shape
        k = self._split(self.k_proj(tokens))  # B x heads x T x d
        v = self._split(self.v_proj(values))
        k = k * k.shape[-1] ** -0.5
        n, d = self.num_heads, k.shape[-1]
        if image.shape[0] == 1 and (projected is not None or b * t > MANY_TOKENS):
            q = (self.project_asking(image, pe) if projected is None else projected)[0]
            scores = k.transpose(0, 1).reshape(n, b * t, d) @ q.transpose(1, 2)
            scores = scores.view(n, b, t, -1).transpose(0, 1)  # B x heads x T x N
        elif t > MANY_TOKENS:
            q = self.project_asking(image, pe)
            return self.out_proj(_merge(F.scaled_dot_product_attention(q, k, v, scale=1.0)))
        else:
            asked = (k @ self._heads_of(self.q_proj)).flatten(1, 2)  # B x heads*T x C
            constant = (k @ self.q_proj.bias.view(n, d, 1)).flatten()
            scores = self._scores(asked, constant, image, pe).unflatten(1, (n, -1))
        weights = torch.softmax(scores, dim=2).flatten(1, 2)  # over the tokens
        out_heads = self.out_proj.weight.view(c, n, d).permute(1, 2, 0)  # heads x d x C
        # The weights of a head sum to 1, so the bias may come in parts with what the heads tell.
        told = (v @ out_heads + self.out_proj.bias / n).flatten(1, 2)  # B x heads*T x C
        return weights.transpose(1, 2) @ told

    @staticmethod
    def _scores(asked: Tensor, constant: Tensor, image: Tensor, pe: Tensor) -> Tensor:
        """asked . (image + pe) + constant, B x M x N; the product with pe is one for the batch."""
        by_place = torch.addmm(constant[:, None], asked.flatten(0, 1), pe[0].T)
        by_place = by_place.view(len(asked), -1, pe.shape[1])  # any M, also in a traced graph
        cells = image.transpose(1, 2).expand(len(asked), -1, -1)
        return torch.baddbmm(by_place, asked, cells)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # B x heads x L x d

    def _heads_of(self, projection: nn.Linear) -> Tensor:
        return projection.weight.unflatten(0, (self.num_heads, -1))  # heads x d x C


def _as_cells(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)  # B x C x h x w to B x N x C


def _merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # B x L x heads*d
