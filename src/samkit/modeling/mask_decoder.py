"""The mask decoder: embedding and prompts to masks with scores (SAM section 3, appendix A)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.common import LayerNorm2d
from samkit.modeling.config import MaskDecoderConfig
from samkit.modeling.transformer import SharedImage, TwoWayTransformer

SINGLE = slice(0, 1)
"""The output token for unambiguous prompts: the paper's fourth mask."""
MULTI = slice(1, None)
"""The output tokens that answer one ambiguous prompt: whole, part, sub-part in no fixed order."""

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}
"""Of the upscaling, by the names of `MaskDecoderConfig.upscaling_activation`."""

FINE_NAMES = ("stride_4", "stride_2")
"""Finer features that an encoder may name; each is added at its step of the upscaling."""


@dataclass(frozen=True)
class DecoderState:
    """What the transformer found: enough to score every mask, and to draw only those wanted."""

    mask_tokens: Tensor
    """B x 4 x C."""
    iou: Tensor
    """B x 4 predicted IoU of each output token's mask."""
    image: Tensor
    """B x h*w x C image cells after the exchange with the tokens."""
    grid: tuple[int, int]


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling, one small hypernetwork for each output token, IoU head.

    `mixer_depth` (0 in the published models) adds convolutional blocks between the dense prompt and
    the transformer, so that a click can spread over its surroundings.
    """

    def __init__(self, config: MaskDecoderConfig, transformer_dim: int) -> None:
        super().__init__()
        dim = transformer_dim
        tokens = config.num_multimask_outputs + 1
        self.num_mask_tokens = tokens
        self.mixer = nn.Sequential(*(MixerBlock(dim, 1 + 2 * i) for i in range(config.mixer_depth)))
        self.transformer = TwoWayTransformer(config, dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(tokens, dim)
        activation = ACTIVATIONS[config.upscaling_activation]
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            activation(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            activation(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(dim, dim, dim // 8, 3) for _ in range(tokens)
        )
        self.iou_prediction_head = MLP(
            dim, config.iou_head_hidden_dim, tokens, config.iou_head_depth
        )

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        fine: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Predicts masks for B prompts on one image (or on B images, one each).

        image_embeddings: 1 or B x C x h x w; image_pe: 1 x C x h x w; sparse B x T x C; dense
        B x C x h x w; fine: finer features of the encoder by name, 1 or B in front.
        multimask_output: True for the three candidates, False for the single mask.
        Returns low-res logits B x K x 4h x 4w and predicted IoU B x K, K = 3 or 1.
        """
        state = self.run_transformer(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        wanted = MULTI if multimask_output else SINGLE
        return self.masks(state, wanted, fine), state.iou[:, wanted]

    def run_transformer(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        shared: SharedImage | None = None,
    ) -> DecoderState:
        """Everything before the upscaling, scores included; arguments as in `forward`.

        shared: what `share` made of the image and the same `dense`, where that has been done.
        """
        h, w = image_embeddings.shape[-2:]
        image = shared or self._with_prompts(image_embeddings, dense)
        tokens, cells = self.transformer(image, image_pe, self.with_output_tokens(sparse))
        return self.read_tokens(tokens, cells, (h, w))

    def share(
        self, image_embeddings: Tensor, image_pe: Tensor, dense: Tensor
    ) -> SharedImage | None:
        """What any number of prompts on one image may share; None where `dense` is theirs alone.

        image_embeddings: 1 x C x h x w; image_pe and dense as in `forward`.
        """
        if dense.stride()[2:] != (0, 0):  # not one vector for all cells, and so for all prompts
            return None
        return self.transformer.share(self._with_prompts(image_embeddings, dense[:1]), image_pe)

    def _with_prompts(self, image: Tensor, dense: Tensor) -> Tensor:
        if dense.stride(0) == 0 and image.shape[0] == 1:
            dense = dense[:1]  # the same for all prompts, and so the image still is, too
        return cast(Tensor, self.mixer(image + dense))

    def with_output_tokens(self, sparse: Tensor) -> Tensor:
        """What the transformer starts from: tokens of IoU and masks, then B x T x C of prompts."""
        out_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        return torch.cat([out_tokens.expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def read_tokens(self, tokens: Tensor, cells: Tensor, grid: tuple[int, int]) -> DecoderState:
        """What the transformer's tokens, as many as it started from, and B x h*w x C cells say."""
        iou = self.iou_prediction_head(tokens[:, 0])
        return DecoderState(tokens[:, 1 : 1 + self.num_mask_tokens], iou, cells, grid)

    def masks(
        self,
        state: DecoderState,
        tokens: slice = slice(None),
        fine: Mapping[str, Tensor] | None = None,
        prompts: Tensor | None = None,
    ) -> Tensor:
        """Low-res logits of the chosen output tokens, for all prompts or only some.

        prompts: indices into the batch, all where None. Returns P x K x 4h x 4w.
        """
        cells, mask_tokens = state.image, state.mask_tokens
        if prompts is not None:
            cells, mask_tokens = cells[prompts], mask_tokens[prompts]
            fine = {k: v if len(v) == 1 else v[prompts] for k, v in (fine or {}).items()}
        upscaled = self._upscale(cells, state.grid, fine or {})
        chosen = range(self.num_mask_tokens)[tokens]
        weights = torch.stack(
            [self.output_hypernetworks_mlps[i](mask_tokens[:, i]) for i in chosen], dim=1
        )
        flat = weights @ upscaled.flatten(1, 3).transpose(1, 2)  # B x K x N*4*4
        return _to_image(flat.unflatten(2, upscaled.shape[1:4]), state.grid)

    def _upscale(self, cells: Tensor, grid: tuple[int, int], fine: Mapping[str, Tensor]) -> Tensor:
        """Cells B x N x C to B x N x 4 x 4 x C/8: each cell's 2 x 2 quarters, and theirs.

        A transposed convolution of size and stride 2 is one matrix product a cell, and all else
        here acts on single pixels; so they stay with their cell, and only the finished masks are
        laid out as images. Finer features are added where the encoder has any.
        """
        first, norm, act, second, last_act = self.output_upscaling
        x = _quarters(cells, cast(nn.ConvTranspose2d, first))  # B x N x 4 x C/4
        if "stride_4" in fine:
            x = x + _to_cells(fine["stride_4"], grid, 2)
        x = act(cast(LayerNorm2d, norm).over_last(x))
        x = _quarters(x, cast(nn.ConvTranspose2d, second))  # B x N x 4 x 4 x C/8
        if "stride_2" in fine:
            x = x + _to_cells(fine["stride_2"], grid, 4)
        return last_act(x)


def _quarters(x: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """The transposed convolution of single pixels: ... x C to ... x 4 x out, row by row."""
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)  # C x 4*out
    bias = cast(Tensor, conv.bias).repeat(4)
    out = torch.addmm(bias, x.flatten(0, -2), weight)
    return out.view(*x.shape[:-1], 4, conv.out_channels)


def _to_cells(x: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """Pixels B x C x f*h x f*w in the layout of `_upscale`: B x N x 4 (x 4) x C."""
    h, w = grid
    if factor == 2:
        x = x.unflatten(3, (w, 2)).unflatten(2, (h, 2))  # B C h 2 w 2
        return x.permute(0, 2, 4, 3, 5, 1).reshape(x.shape[0], h * w, 4, -1)
    x = x.unflatten(3, (w, 2, 2)).unflatten(2, (h, 2, 2))  # B C h 2 2 w 2 2
    return x.permute(0, 2, 5, 3, 6, 4, 7, 1).reshape(x.shape[0], h * w, 4, 4, -1)


def _to_image(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """The inverse for masks: B x K x N x 4 x 4 to B x K x 4h x 4w."""
    h, w = grid
    x = x.unflatten(4, (2, 2)).unflatten(3, (2, 2)).unflatten(2, (h, w))  # B K h w 2 2 2 2
    return x.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*x.shape[:2], 4 * h, 4 * w)


class MixerBlock(nn.Module):
    """A residual depthwise 3 x 3 convolution (dilated) with a pointwise layer."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            dim, dim, kernel_size=3, padding=dilation, dilation=dilation, groups=dim
        )
        self.norm = nn.LayerNorm(dim)
        self.pointwise = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x h x w. Same shape, channels last in memory."""
        x = x.contiguous(memory_format=torch.channels_last)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.pointwise(F.gelu(y)).permute(0, 3, 1, 2)


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        sizes = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(n, k) for n, k in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """x: ... x input_dim. Returns ... x output_dim."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
