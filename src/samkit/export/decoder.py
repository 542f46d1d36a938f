"""The prompt encoder and the mask decoder as one module that answers one prompt."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from samkit.export.cells import Cells, with_cell_attention
from samkit.export.norms import with_stepped_norms
from samkit.modeling import Sam

PROMPT_NAMES = ("point_coords", "point_labels", "mask_input", "has_mask_input")
OUTPUT_NAMES = ("low_res_logits", "iou")


class PromptedDecoder(nn.Module):
    """An embedding and one prompt to the low-res logits and predicted IoU of all output tokens.

    Its parameters are copies in float32 on the CPU, whatever the model computes in.
    """

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.prompt_encoder = copy.deepcopy(sam.prompt_encoder).cpu().float().eval()
        decoder = copy.deepcopy(sam.mask_decoder).cpu().float().eval()
        self.decoder = with_cell_attention(decoder)
        with_stepped_norms(self)
        self.requires_grad_(False)

    def forward(
        self,
        image_embeddings: Tensor,
        fine: dict[str, Tensor],
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One prompt.

        image_embeddings: 1 x C x h x w, and finer features by name, as `Sam.encode` makes them.
        point_coords: 1 x N x 2 (x, y) in pixels of the model's input; point_labels: 1 x N float32
            with the labels' usual meanings; a box is two points, and nothing is padded here.
        mask_input: 1 x 1 x 4h x 4w logits, which count where has_mask_input (1) is 1, not 0.
        Returns low-res logits 1 x 4 x 4h x 4w and predicted IoU 1 x 4.
        """
        encoder, decoder = self.prompt_encoder, self.decoder
        pe = _cells(encoder.get_dense_pe())
        points = point_coords, point_labels
        if encoder.prompt_maps:
            cells = self._with_prompt_maps(image_embeddings, points, mask_input, has_mask_input)
        else:
            cells = self._with_mask(image_embeddings, mask_input, has_mask_input)
        sparse = encoder.embed_points(*points, pad=False)
        tokens, keys = decoder.transformer.exchange(
            cast(Tensor, cells),  # CellAttention takes an image either way
            pe,
            decoder.with_output_tokens(sparse),
        )
        state = decoder.read_tokens(tokens, keys, encoder.image_embedding_size)
        return decoder.masks(state, fine=fine), state.iou

    def _with_prompt_maps(
        self, image: Tensor, points: tuple[Tensor, Tensor], mask: Tensor, has_mask: Tensor
    ) -> Cells:
        """The image under prompts that are drawn; nothing of it stays fixed."""
        encoder = self.prompt_encoder
        no_mask = encoder.no_mask_embed.weight[..., None, None]  # 1 x C x 1 x 1
        drawn = encoder.draw(points, None, 1, (0, 0, *encoder.image_embedding_size))
        dense = encoder.mask_downscaling(torch.cat([drawn, mask * has_mask], dim=1))
        prompted = (image + no_mask) + (dense - has_mask * no_mask)
        return Cells(_cells(self.decoder.mixer(prompted)))

    def _with_mask(self, image: Tensor, mask: Tensor, has_mask: Tensor) -> Cells:
        """The image under a mask prompt: the last layer of the mask's convolutions is a matrix.

        It is image + no_mask without, image + features @ weight + bias with a mask.
        """
        *layers, last = self.prompt_encoder.mask_downscaling
        no_mask = self.prompt_encoder.no_mask_embed.weight  # 1 x C
        features = _cells(nn.Sequential(*layers)(mask))
        added = torch.cat([features, torch.ones_like(features[..., :1])], dim=-1) * has_mask
        weight, bias = last.get_parameter("weight"), last.get_parameter("bias")
        into = torch.cat([weight.flatten(1).T, bias - no_mask])
        return Cells(added, _cells(image) + no_mask, into)


def _cells(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)  # 1 x N x C
