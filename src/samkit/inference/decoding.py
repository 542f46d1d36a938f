"""Few prompts at a time through the decoder, however many there are."""

from collections.abc import Iterator

import torch
from torch import Tensor

from samkit.inference.cores import on_separate_cores
from samkit.inference.embeddings import ImageEmbedding
from samkit.inference.prompts import Prompts
from samkit.inference.upscaling import Upscaler
from samkit.modeling import Sam
from samkit.modeling.mask_decoder import MULTI, SINGLE, DecoderState
from samkit.modeling.transformer import SharedImage

CPU_ELEMENTS = 2 << 20
"""Numbers of the image side of a chunk (prompts x cells x channels) on a CPU: 2 prompts of ViT-B.

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


class PromptDecoder:
    """The mask decoder on one image; several threads may ask it at a time.

    prompts: all that will be asked, of which every call takes some rows. What they have in common
    is done here, once, where they are many.
    """

    def __init__(self, sam: Sam, embedding: ImageEmbedding, prompts: Prompts) -> None:
        self._sam, self._embedding, self._prompts = sam, embedding, prompts
        self._image_pe = sam.prompt_encoder.get_dense_pe()
        self._shared: SharedImage | None = None
        if len(prompts) > prompts_at_once(sam):
            _, dense = prompts.rows(0, 1).embed(sam)
            self._shared = sam.mask_decoder.share(embedding.features, self._image_pe, dense)

    def states(self, rows: slice) -> DecoderState:
        """What the transformer finds for some of the prompts."""
        sparse, dense = self._prompts.rows(rows.start, rows.stop).embed(self._sam)
        return self._sam.mask_decoder.run_transformer(
            self._embedding.features, self._image_pe, sparse, dense, self._shared
        )

    def masks(self, state: DecoderState, tokens: slice, prompts: Tensor | None = None) -> Tensor:
        """Low-res logits, as of `MaskDecoder.masks`."""
        return self._sam.mask_decoder.masks(state, tokens, self._embedding.fine, prompts)


def decode(
    sam: Sam, embedding: ImageEmbedding, prompts: Prompts, multimask: bool, chunk: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Low-res logits b x K x n x n and predicted IoU b x K of all prompts in order, float32.

    chunk: prompts in each item; by default what suits the device. Yields nothing for no rows.
    """
    decoder = PromptDecoder(sam, embedding, prompts)
    wanted = MULTI if multimask else SINGLE

    def answer(rows: slice) -> tuple[Tensor, Tensor]:
        state = decoder.states(rows)
        return decoder.masks(state, wanted).float(), state.iou[:, wanted].float()

    yield from on_separate_cores(
        answer, slices(len(prompts), chunk or prompts_at_once(sam)), sam.device
    )


def slices(count: int, step: int) -> Iterator[slice]:
    """0 to count in order, `step` at a time."""
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
