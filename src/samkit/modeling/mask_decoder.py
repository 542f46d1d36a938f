"""The mask decoder: embedding and prompts to masks with scores (SAM section 3, appendix A)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.common import LayerNorm2d
from samkit.modeling.config import MaskDecoderConfig
from samkit.modeling.transformer import TwoWayTransformer

SINGLE = slice(0, 1)
"""The output token for unambiguous prompts: the paper's fourth mask."""
MULTI = slice(1, None)
"""The output tokens that answer one ambiguous prompt: whole, part, sub-part in no fixed order."""

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
        self.mixer = nn.Sequential(*(MixerBlock(dim) for _ in range(config.mixer_depth)))
        self.transformer = TwoWayTransformer(config, dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(tokens, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
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
        self, image_embeddings: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> DecoderState:
        """Everything before the upscaling, scores included; arguments as in `forward`."""
        b = sparse.shape[0]
        out_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([out_tokens.expand(b, -1, -1), sparse], dim=1)
        if dense.stride(0) == 0 and image_embeddings.shape[0] == 1:
            dense = dense[:1]  # the same for all prompts, and so the image still is, too
        image = self.mixer(image_embeddings + dense)
        tokens, cells = self.transformer(image, image_pe, tokens)
        iou = self.iou_prediction_head(tokens[:, 0])
        h, w = image.shape[-2:]
        return DecoderState(tokens[:, 1 : 1 + self.num_mask_tokens], iou, cells, (h, w))

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
        upscaled = self._upscale(cells.transpose(1, 2).unflatten(2, state.grid), fine or {})
        chosen = range(self.num_mask_tokens)[tokens]
        weights = torch.stack(
            [self.output_hypernetworks_mlps[i](mask_tokens[:, i]) for i in chosen], dim=1
        )
        return (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])

    def _upscale(self, x: Tensor, fine: Mapping[str, Tensor]) -> Tensor:
        """B x C x h x w to B x C/8 x 4h x 4w, with finer features added where the encoder has any."""
        first, norm, act, second, last_act = self.output_upscaling
        x = first(x)
        if "stride_4" in fine:
            x = x + fine["stride_4"]
        x = second(act(norm(x)))
        if "stride_2" in fine:
            x = x + fine["stride_2"]
        return last_act(x)


class MixerBlock(nn.Module):
    """A residual depthwise 7 x 7 convolution with a pointwise one: looks 3 cells far."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.pointwise = nn.Conv2d(dim, dim, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x h x w. Same shape."""
        return x + self.pointwise(F.gelu(self.norm(self.depthwise(x))))


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        sizes = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(
            nn.Linear(n, k) for n, k in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: ... x input_dim. Returns ... x output_dim."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
