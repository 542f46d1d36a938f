"""The picture of a pre-training run: what was shown, what was hidden, what was made of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samkit.modeling import SamConfig
from samkit.modeling.masked_patches import MaskedAutoencoder, denormalise, patchify, unpatchify
from samkit.pictures.contact_sheet import contact_sheet
from samkit.pictures.saving import save_picture
from samkit.training.pretraining_images import Example, UnlabelledImages, middle, noise_of, stacked

RECONSTRUCTION = "reconstruction.png"
SHOWN = 6
"""Images in the picture."""
_TRIED = 50
_GRAY = 0.5
"""What hidden patches look like in the masked image, of 1."""


def fixed_examples(images: UnlabelledImages) -> list[Example]:
    """The same few images, spread over all, with the same hidden patches, throughout a run."""
    recipe = images.recipe
    rng = np.random.default_rng([recipe.seed, 2])
    places = np.linspace(0, len(images.paths) - 1, min(SHOWN, len(images.paths))).round()
    found = []
    for first in places.astype(int):
        noise = rng.random(images.patches, dtype=np.float32)
        for path in images.paths[first : first + _TRIED]:
            if (pixels := images.read(path)) is not None:
                found.append(Example(middle(pixels, recipe.img_size), noise))
                break
    return found


@torch.no_grad()
def draw_reconstructions(
    model: MaskedAutoencoder, examples: Sequence[Example], sam: SamConfig, path: Path
) -> None:
    """Writes a PNG with the input, the masked input and the output of each example.

    Visible patches of the output are the input's. A hidden one is the model's, with the mean and
    deviation of the true patch, which a normalised target does not tell.
    """
    device = next(model.parameters()).device
    pixels = stacked(examples, sam, device)
    predicted, hidden = model(pixels, noise_of(examples, device))[1:]
    size = model.patch_size
    true = patchify(pixels, size)
    over = hidden[..., None]
    output = torch.where(over, denormalise(predicted.float(), true), true)
    shown = _as_pictures(unpatchify(output, size), sam)
    covers = unpatchify(over.expand_as(true).float(), size).permute(0, 2, 3, 1).cpu().numpy() > 0
    tiles: list[NDArray[np.uint8]] = []
    for example, cover, picture in zip(examples, covers, shown, strict=True):
        masked = np.where(cover, np.uint8(255 * _GRAY), example.pixels)
        tiles += [example.pixels, masked, picture]
    captions = ["input", "masked", "output"] * len(examples)
    save_picture(path, contact_sheet(tiles, captions, columns=6, tile=model.img_size))


def _as_pictures(pixels: Tensor, sam: SamConfig) -> NDArray[np.uint8]:
    """Normalised B x 3 x S x S as B x S x S x 3 uint8."""
    mean, deviation = (
        torch.tensor(values, device=pixels.device).view(1, 3, 1, 1)
        for values in (sam.pixel_mean, sam.pixel_std)
    )
    values = (pixels * deviation + mean).round().clamp(0, 255).byte()
    return values.permute(0, 2, 3, 1).cpu().numpy()
