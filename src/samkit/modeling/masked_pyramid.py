"""Masked image modelling for the small model's convolutional encoder (after SimMIM).

Convolutions run over a grid and cannot leave patches out, so the hidden ones (32 x 32 pixels, the
trunk's largest stride) are painted in one learned colour and the whole picture is encoded; a light
convolutional decoder predicts their normalised pixels from the embedding. Nothing is saved by what
is hidden, as it is with a ViT. (Xie et al., "SimMIM", 2022; the target is MAE's.)
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.config import PyramidConfig
from samkit.modeling.masked_patches import (
    MaskedAutoencoder,
    MaskedDecoderConfig,
    Masking,
    patchify,
)
from samkit.modeling.pyramid_encoder import JoinBlock, PyramidEncoder

PATCH = 32
_STRIDE = 8
_NOT_LEARNED = "fine_"
"""The beginning of the names of the layers of finer features, which the embedding does not hold."""


class MaskedPyramid(MaskedAutoencoder):
    """Predicts the hidden patches of B x 3 x S x S images, S the config's img_size.

    Unlike in promptable training, whose batches are a few crops, the trunk's normalisation uses the
    batch's own statistics, in every mode, and keeps none.
    """

    def __init__(self, config: PyramidConfig, decoder: MaskedDecoderConfig) -> None:
        super().__init__(config.img_size, PATCH)
        self.encoder = PyramidEncoder(config)
        _normalise_by_batch(self.encoder, keep=False)
        self.hidden_colour = nn.Parameter(torch.zeros(1, 3, 1, 1))  # the mean of all images
        self.decoder_embed = nn.Conv2d(config.out_chans, decoder.dim, kernel_size=1)
        self.decoder_blocks = nn.Sequential(*(JoinBlock(decoder.dim) for _ in range(decoder.depth)))
        self.decoder_pred = nn.Conv2d(decoder.dim, _STRIDE**2 * 3, kernel_size=1)

    def train(self, mode: bool = True) -> "MaskedPyramid":
        """Sets the mode of all but the trunk's normalisation."""
        super().train(mode)
        _normalise_by_batch(self.encoder, keep=False)
        return self

    def predict(self, images: Tensor, masking: Masking) -> Tensor:
        """B x 3 x S x S to normalised pixels B x N x 32*32*3."""
        embedding = self.encoder(self.paint(images, masking.hidden))
        x = self.decoder_blocks(self.decoder_embed(embedding))
        return patchify(F.pixel_shuffle(self.decoder_pred(x), _STRIDE), PATCH)

    def paint(self, images: Tensor, hidden: Tensor) -> Tensor:
        """The images with their hidden patches (B x N bool) in the learned colour."""
        side = self.img_size // PATCH
        cells = hidden.reshape(-1, 1, side, side)
        over = cells.repeat_interleave(PATCH, dim=2).repeat_interleave(PATCH, dim=3)
        return torch.where(over, self.hidden_colour, images)

    def encoder_weights(self, images: Iterable[Tensor]) -> dict[str, Tensor]:
        """The encoder but for its layers of finer features, which start fresh.

        images: whole images, of which the statistics of the normalisation are taken: those of
            training are of pictures that are mostly one colour.
        """
        encoder = copy.deepcopy(self.encoder)
        _normalise_by_batch(encoder, keep=True)
        for batch in images:
            encoder(batch)
        return {
            name: value
            for name, value in encoder.state_dict().items()
            if not name.startswith(_NOT_LEARNED)
        }


def _normalise_by_batch(encoder: PyramidEncoder, *, keep: bool) -> None:
    """keep: whether the mean statistics over all batches from now on are kept."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.momentum = None
            module.track_running_stats = keep
