"""Few prompts at a time through the decoder, however many there are."""

from collections.abc import Iterator

import torch
from torch import Tensor

from samkit.inference.embeddings import ImageEmbedding
from samkit.inference.prompts import Prompts
from samkit.inference.upscaling import Upscaler
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import MULTI, SINGLE

CPU_ELEMENTS = 4 << 20
"""Numbers of the image side of a chunk (prompts x cells x channels) on a CPU: 4 prompts of ViT-B.

The allocator then uses the same memory again instead of mapping it afresh (docs/performance.md)."""
GPU_ELEMENTS = 64 << 20
"""The same elsewhere: 64 prompts of ViT-B."""


def prompts_at_once(sam: Sam) -> int:
    """How many prompts the decoder takes at a time on this device."""
    h, w = sam.prompt_encoder.image_embedding_size
    elements = CPU_ELEMENTS if sam.device.type == "cpu" else GPU_ELEMENTS
    return max(1, elements // (h * w * sam.prompt_encoder.embed_dim))


def upscaler_of(sam: Sam, embedding: ImageEmbedding, device: torch.device | str) -> Upscaler:
    """What enlarges this model's low-res logits, on a device, to the size of the image."""
    return Upscaler(
        sam.prompt_encoder.mask_input_size[0],
        sam.image_encoder.img_size,
        embedding.input_size,
        embedding.original_size,
        device,
    )


def decode(
    sam: Sam, embedding: ImageEmbedding, prompts: Prompts, multimask: bool, chunk: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Low-res logits b x K x n x n and predicted IoU b x K of all prompts in order, float32.

    chunk: prompts in each item; by default what suits the device. Yields nothing for no rows.
    """
    image_pe = sam.prompt_encoder.get_dense_pe()
    wanted = MULTI if multimask else SINGLE
    step = chunk or prompts_at_once(sam)
    for start in range(0, len(prompts), step):
        sparse, dense = prompts.rows(start, start + step).embed(sam)
        state = sam.mask_decoder.run_transformer(embedding.features, image_pe, sparse, dense)
        low = sam.mask_decoder.masks(state, wanted, embedding.fine)
        yield low.float(), state.iou[:, wanted].float()
