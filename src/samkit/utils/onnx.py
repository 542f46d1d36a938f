"""The official module of this name: prompt encoder and mask decoder as one module to export.

`samkit export` writes a graph that is several times as quick (docs/export.md); this one has the
inputs and outputs that programs written for the official one expect.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.errors import UsageError
from samkit.modeling import Sam


class SamOnnxModel(nn.Module):
    """Prompts on an embedding to masks at the size of the image, for `torch.onnx.export`.

    return_single_mask: of the four masks only the one that suits the number of points.
    use_stability_score: stability scores instead of predicted IoU, also for that choice.
    return_extra_metrics: five outputs, with stability scores and areas of the full-size masks.
    """

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool,
        use_stability_score: bool = False,
        return_extra_metrics: bool = False,
    ) -> None:
        super().__init__()
        if model.prompt_encoder.prompt_maps:
            raise UsageError(
                "SamOnnxModel needs a model of the published architecture, whose boxes are points "
                "with labels 2 and 3; take `samkit export` for this one."
            )
        self.model = model
        self.img_size = model.image_encoder.img_size
        self.return_single_mask = return_single_mask
        self.use_stability_score = use_stability_score
        self.return_extra_metrics = return_extra_metrics
        self.stability_score_offset = 1.0

    @torch.no_grad()
    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> tuple[Tensor, ...]:
        """One set of prompts on one image; all inputs are float32.

        image_embeddings: 1 x C x h x w. point_coords: 1 x N x 2 (x, y) in pixels of the model's
        input, point_labels: 1 x N; boxes as points with labels 2 and 3; where there is no box, one
        more point with label -1. mask_input: 1 x 1 x 4h x 4w logits, used where has_mask_input
        is [1] and not [0]. orig_im_size: [H, W] of the image.
        Returns masks 1 x K x H x W (logits), scores 1 x K and low-res logits 1 x K x 4h x 4w, K
        being 4 or 1; with extra metrics masks, scores, stability scores, areas, low-res logits.
        """
        encoder, decoder = self.model.prompt_encoder, self.model.mask_decoder
        sparse = encoder.embed_points(point_coords, point_labels, pad=False)
        dense = torch.where(
            has_mask_input.view(1, 1, 1, 1) > 0,
            encoder.mask_downscaling(mask_input),
            encoder.no_mask_embed.weight.view(1, -1, 1, 1),
        )
        state = decoder.run_transformer(image_embeddings, encoder.get_dense_pe(), sparse, dense)
        low, scores = decoder.masks(state), state.iou
        if self.use_stability_score:
            scores = self._stability(low)
        if self.return_single_mask:
            low, scores = self._suited(low, scores, torch.ones_like(point_labels[0]).sum())
        masks = self._enlarge(low, orig_im_size)
        if not self.return_extra_metrics:
            return masks, scores, low
        areas = (masks > self.model.mask_threshold).sum((-1, -2))
        return masks, scores, self._stability(masks), areas, low

    def _stability(self, logits: Tensor) -> Tensor:
        """As `masks.stability_score`, in operations that every exporter knows."""
        threshold, offset = self.model.mask_threshold, self.stability_score_offset
        inner, outer = ((logits > threshold + by).sum((-1, -2)) for by in (offset, -offset))
        return inner / outer.clamp(min=1)

    def _suited(self, low: Tensor, scores: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """For three points or more the single mask, else the best scored of the other three.

        A point with label -1 is one of them, so that is any prompt but a click or two corners.
        """
        first = torch.arange(scores.shape[1], device=scores.device) == 0
        best = (scores + first * (points - 2.5) * 1000).argmax(1, keepdim=True)
        index = best[:, :, None, None].expand(-1, -1, *low.shape[2:])
        return low.gather(1, index), scores.gather(1, best)

    def _enlarge(self, low: Tensor, orig_im_size: Tensor) -> Tensor:
        """The same as `Sam.postprocess_masks`, for a size that is known only when the graph runs.

        Both its steps are linear and act on rows and columns alone: two matrix products.
        """
        size = orig_im_size.float()
        inner = torch.floor(size * (self.img_size / size.max()) + 0.5)
        unit = torch.eye(low.shape[-1], device=low.device)[None]
        to_input = F.interpolate(unit, self.img_size, mode="linear")[0].T  # input x low-res cells
        rows, cols = (_resized(to_input, inner[i], orig_im_size[i].long()) for i in (0, 1))
        return rows @ low @ cols.T


def _resized(matrix: Tensor, used: Tensor, wanted: Tensor) -> Tensor:
    """The first `used` rows of a matrix interpolated linearly to `wanted` rows, both tensors."""
    # Not int(wanted), which a traced graph would hold as a constant.
    at = torch.arange(wanted, device=matrix.device)  # type: ignore[call-overload]
    at = (at + 0.5) * (used / wanted) - 0.5
    at = at.clamp(min=0)
    before = at.floor()
    after = torch.minimum(before + 1, used - 1).long()
    share = (at - before)[:, None]
    return matrix[before.long()] * (1 - share) + matrix[after] * share
