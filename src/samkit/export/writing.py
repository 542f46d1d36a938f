"""The files of an exported model, each whole or not at all."""

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from samkit.export.constants import constants_of, embedding_names
from samkit.export.tracing import OPSET, require_opset, require_packages, trace
from samkit.files import atomic_write, write_json
from samkit.modeling import Sam
from samkit.modeling.image_encoder import ImageEncoderViT
from samkit.modeling.pyramid_encoder import PyramidEncoder

if TYPE_CHECKING:
    from onnx import ModelProto

IMAGE, DECODER, CONSTANTS, ENCODER = "image.onnx", "decoder.onnx", "constants.json", "encoder.onnx"


def write_decoder(sam: Sam, folder: str | os.PathLike[str], *, opset: int = OPSET) -> list[Path]:
    """Writes decoder.onnx, image.onnx and constants.json into a folder, which is made if need be.

    image.onnx: an embedding (`image_embeddings`, and finer features by name) to all that is the
        same for every prompt, `image_0`, `image_1`, ….
    decoder.onnx: these, `point_coords` 1 x N x 2, `point_labels` 1 x N, `mask_input`
        1 x 1 x 4h x 4w, `has_mask_input` 1 and `best_only` 1 to `low_res_logits`
        1 x 4 x 4h x 4w (1 x 1 x 4h x 4w where `best_only` is 1) and `iou` 1 x 4, all float32.
        N may be any number, 0 as well.
    constants.json: the numbers and rules with which to use them; it is written last.
    Returns the paths. Raises UsageError where onnx is missing or the opset too old, and
    SamkitError where the folder cannot be written to.
    """
    require_packages("onnx")
    require_opset(opset)
    from samkit.export.decoder import prompted_decoder
    from samkit.export.split import split

    image, decoder = split(prompted_decoder(sam, opset), embedding_names(sam))
    paths = [Path(folder) / name for name in (IMAGE, DECODER, CONSTANTS)]
    for path, part in zip(paths, (image, decoder), strict=False):
        _write(path, part)
    write_json(paths[-1], constants_of(sam, image, decoder), indent=2)
    return paths


def write_encoder(sam: Sam, folder: str | os.PathLike[str], *, opset: int = OPSET) -> list[Path]:
    """Writes encoder.onnx: `image` 1 x 3 x S x S, preprocessed as constants.json says, to an
    embedding: `image_embeddings` and the finer features by name, float32.

    Returns its path. Raises as `write_decoder`, also where onnxscript is missing.
    """
    encoder = copy.deepcopy(sam.image_encoder).cpu().float().requires_grad_(False)
    size = sam.image_encoder.img_size
    image = torch.zeros(1, 3, size, size)
    model = trace(_WithFine(encoder), image, "image", embedding_names(sam), opset)
    path = Path(folder) / ENCODER
    _write(path, model)
    return [path]


class _WithFine(nn.Module):
    def __init__(self, encoder: ImageEncoderViT | PyramidEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features, fine = self.encoder.forward_with_fine(image)
        return features, *fine.values()


def _write(path: Path, model: "ModelProto") -> None:
    with atomic_write(path) as file:
        file.write(model.SerializeToString())
