"""What all masked autoencoders share: which patches are hidden, what is predicted, the loss.

He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3: 75% of an image's
patches are hidden, and the pixels of the hidden ones are predicted, each patch normalised by its
own mean and deviation. SAM's image encoder starts from weights learned so (SAM, section 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

MASK_RATIO = 0.75
"""Share of the patches that are hidden (MAE, section 4.1)."""
EPSILON = 1e-6
"""Added to a patch's variance, so that a patch of one colour can be normalised."""


@dataclass(frozen=True)
class MaskedDecoderConfig:
    """The decoder, which only pre-training has; the defaults are the paper's (MAE, section 4.1)."""

    dim: int = 512
    depth: int = 8
    num_heads: int = 16
    """Of a transformer decoder; a convolutional one has none."""


class Masking(NamedTuple):
    """Which of N patches are hidden, for each of B images; in every image equally many."""

    visible: Tensor
    """B x V int64: indices of the visible patches."""
    hidden: Tensor
    """B x N bool."""


class Reconstruction(NamedTuple):
    """What a masked autoencoder makes of a batch."""

    loss: Tensor
    """Scalar, float32."""
    predicted: Tensor
    """B x N x p*p*3: normalised pixels of every patch, visible ones included."""
    hidden: Tensor
    """B x N bool."""


def choose_visible(noise: Tensor, mask_ratio: float = MASK_RATIO) -> Masking:
    """Keeps the patches with the least noise: a random choice without replacement.

    noise: B x N, each value drawn uniformly. int(N * (1 - mask_ratio)) patches stay visible.
    """
    count = int(noise.shape[1] * (1 - mask_ratio))
    visible = noise.argsort(dim=1)[:, :count]
    hidden = torch.ones(noise.shape, dtype=torch.bool, device=noise.device)
    return Masking(visible, hidden.scatter_(1, visible, False))


def patchify(images: Tensor, size: int) -> Tensor:
    """Cuts B x 3 x H x W into patches: B x N x size*size*3, by rows, each (y, x, channel)."""
    b, c, h, w = images.shape
    x = images.reshape(b, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, size * size * c)


def unpatchify(patches: Tensor, size: int) -> Tensor:
    """The inverse of `patchify` for square images: B x N x size*size*3 to B x 3 x S x S."""
    b, n, values = patches.shape
    side, c = round(n**0.5), values // size**2
    x = patches.reshape(b, side, side, size, size, c)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, c, side * size, side * size)


def normalise(patches: Tensor) -> Tensor:
    """Each patch less its mean, over its deviation (of a sample: n - 1), as targets."""
    mean = patches.mean(dim=-1, keepdim=True)
    return (patches - mean) / (patches.var(dim=-1, keepdim=True) + EPSILON).sqrt()


def denormalise(predicted: Tensor, patches: Tensor) -> Tensor:
    """Predicted patches with the mean and deviation of the true ones, to be looked at."""
    deviation = (patches.var(dim=-1, keepdim=True) + EPSILON).sqrt()
    return predicted * deviation + patches.mean(dim=-1, keepdim=True)


def masked_loss(predicted: Tensor, images: Tensor, hidden: Tensor, size: int) -> Tensor:
    """Mean square error of normalised pixels over the hidden patches; visible ones do not count.

    predicted: B x N x size*size*3. images: B x 3 x S x S. hidden: B x N bool. Computed in float32.
    """
    target = normalise(patchify(images.float(), size))
    errors = (predicted.float() - target).square().mean(dim=-1)
    return (errors * hidden).sum() / hidden.sum()


class MaskedAutoencoder(nn.Module, ABC):
    """An image encoder with a light decoder that predicts hidden patches."""

    def __init__(self, img_size: int, patch_size: int) -> None:
        """img_size: side of the square input in pixels, a multiple of patch_size."""
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size

    @property
    def patches(self) -> int:
        """How many patches an image has."""
        return (self.img_size // self.patch_size) ** 2

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """images: B x 3 x S x S, normalised. noise: B x N, see `choose_visible`."""
        masking = choose_visible(noise)
        predicted = self.predict(images, masking)
        loss = masked_loss(predicted, images, masking.hidden, self.patch_size)
        return Reconstruction(loss, predicted, masking.hidden)

    @abstractmethod
    def predict(self, images: Tensor, masking: Masking) -> Tensor:
        """Normalised pixels B x N x p*p*3 out of what is visible of B x 3 x S x S."""

    @abstractmethod
    def encoder_weights(self, images: Iterable[Tensor]) -> dict[str, Tensor]:
        """The tensors of the encoder that were learned, by the names that files have.

        images: batches of whole images, B x 3 x S x S normalised, for encoders whose normalisation
            keeps statistics; not touched by others.
        """
