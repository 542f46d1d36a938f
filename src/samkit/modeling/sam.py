"""The whole model: image encoder, prompt encoder and mask decoder (SAM section 3)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.config import SamConfig, ViTConfig
from samkit.modeling.image_encoder import ImageEncoderViT
from samkit.modeling.mask_decoder import MaskDecoder
from samkit.modeling.prompt_encoder import PromptEncoder
from samkit.modeling.pyramid_encoder import PyramidEncoder


class Sam(nn.Module):
    """Segment Anything, with the official names of parameters and the official `forward`.

    Unlike the published code, nothing here switches gradients off: wrap calls in
    `torch.inference_mode()` where none are wanted, as the predictor does.
    """

    image_format = "RGB"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.config = config
        self.mask_threshold = config.mask_threshold
        encoder = config.image_encoder
        grid = encoder.img_size // config.stride
        self.image_encoder: ImageEncoderViT | PyramidEncoder = (
            ImageEncoderViT(encoder) if isinstance(encoder, ViTConfig) else PyramidEncoder(encoder)
        )
        self.prompt_encoder = PromptEncoder(config.prompt_encoder, (grid, grid), config.stride)
        self.mask_decoder = MaskDecoder(config.mask_decoder, config.prompt_encoder.embed_dim)
        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """In which type the model computes."""
        return self.mask_decoder.iou_token.weight.dtype

    def set_image_size(self, img_size: int) -> None:
        """Makes the model work on images of another size, a multiple of its stride.

        The position tables stay as trained and are interpolated when they are used.
        """
        stride = self.config.stride
        if img_size < stride or img_size % stride:
            raise ValueError(f"img_size must be a positive multiple of {stride}, not {img_size}.")
        self.image_encoder.img_size = img_size
        self.prompt_encoder.image_embedding_size = (img_size // stride, img_size // stride)

    def encode(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The embedding of preprocessed images B x 3 x S x S, and finer features by name."""
        return self.image_encoder.forward_with_fine(images)

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalises colours and pads right and bottom to a square: ... x 3 x H x W, 0 to 255.

        H and W are at most the model's input size, one of them equal to it.
        """
        x = ((x - self.pixel_mean) / self.pixel_std).to(self.dtype)
        size = self.image_encoder.img_size
        return F.pad(x, (0, size - x.shape[-1], 0, size - x.shape[-2]))

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, ...], original_size: tuple[int, ...]
    ) -> Tensor:
        """Logits at the size of the image: removes the padding, undoes the resize (bilinear).

        masks: B x K x 4h x 4w. input_size: (H, W) before padding. original_size: (H, W) of the
        image. Returns B x K x H x W logits.
        """
        size = self.image_encoder.img_size
        masks = F.interpolate(masks, (size, size), mode="bilinear", align_corners=False)
        masks = masks[..., : input_size[0], : input_size[1]]
        return F.interpolate(masks, tuple(original_size), mode="bilinear", align_corners=False)

    def forward(
        self, batched_input: list[dict[str, Any]], multimask_output: bool
    ) -> list[dict[str, Tensor]]:
        """Segments several images with their prompts in one call (official interface).

        batched_input: one dict an image, with `image` (3 x H x W, already resized so that the
        longer side is the model's input size), `original_size` (H, W), and any of `point_coords`
        (B x N x 2) with `point_labels` (B x N), `boxes` (B x 4), `mask_inputs` (B x 1 x 4h x 4w),
        all in pixels of the resized image.
        Returns a dict an image: `masks` (B x K x H x W, bool), `iou_predictions` (B x K) and
        `low_res_logits` (B x K x 4h x 4w); the last two carry gradients.
        """
        images = torch.stack([self.preprocess(record["image"]) for record in batched_input])
        embeddings, fine = self.encode(images)
        image_pe = self.prompt_encoder.get_dense_pe()
        outputs = []
        for i, record in enumerate(batched_input):
            points = None
            if "point_coords" in record:
                points = (record["point_coords"], record["point_labels"])
            sparse, dense = self.prompt_encoder(
                points=points, boxes=record.get("boxes"), masks=record.get("mask_inputs")
            )
            low_res, iou = self.mask_decoder(
                embeddings[i : i + 1],
                image_pe,
                sparse,
                dense,
                multimask_output,
                {name: part[i : i + 1] for name, part in fine.items()},
            )
            masks = self.postprocess_masks(
                low_res, record["image"].shape[-2:], record["original_size"]
            )
            outputs.append(
                {
                    "masks": masks > self.mask_threshold,
                    "iou_predictions": iou,
                    "low_res_logits": low_res,
                }
            )
        return outputs
