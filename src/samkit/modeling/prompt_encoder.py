"""The prompt encoder: points, boxes and masks to embeddings (SAM section 3, "Prompt encoder")."""

import math

import torch
from torch import Tensor, nn

from samkit.modeling.common import LayerNorm2d
from samkit.modeling.config import PromptEncoderConfig

LABEL_PADDING, LABEL_BACKGROUND, LABEL_FOREGROUND, LABEL_TOP_LEFT, LABEL_BOTTOM_RIGHT = range(-1, 4)
"""What the label of a point means; corners are a box given as two points."""

CLICK_SIGMA = 6.0
"""Width of a click drawn on a prompt map, in pixels of the input image."""

PROMPT_GAIN = 2.0
"""How much louder than usual the last layer of the prompt maps' convolutions starts."""

Window = tuple[int, int, int, int]
"""A part of the embedding's grid: top, left, height, width, in cells."""


class PromptEncoder(nn.Module):
    """Turns prompts into sparse tokens and a dense map over the embedding's grid.

    Points and boxes become tokens: a random Fourier encoding of the place plus a learned embedding
    of the kind. A mask becomes a map through two strided convolutions.

    With `prompt_maps`, which the published models do not have, clicks and boxes are drawn as maps
    as well (foreground clicks, background clicks, filled box) and go through the same convolutions
    beside the mask: a small model learns several times faster where its prompts already have a
    shape in the image.
    """

    def __init__(
        self, config: PromptEncoderConfig, image_embedding_size: tuple[int, int], stride: int
    ) -> None:
        super().__init__()
        dim = config.embed_dim
        self.embed_dim = dim
        self.stride = stride
        self.prompt_maps = config.prompt_maps
        self.image_embedding_size = image_embedding_size
        self.pe_layer = PositionEmbeddingRandom(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        chans = config.mask_in_chans
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(4 if config.prompt_maps else 1, chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(chans // 4),
            nn.GELU(),
            nn.Conv2d(chans // 4, chans, kernel_size=2, stride=2),
            LayerNorm2d(chans),
            nn.GELU(),
            nn.Conv2d(chans, dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)
        if config.prompt_maps:  # a drawn prompt starts as loud as the image it is added to
            last = self.mask_downscaling[-1].get_parameter("weight")
            nn.init.normal_(last, std=PROMPT_GAIN / chans**0.5)

    @property
    def input_image_size(self) -> tuple[int, int]:
        """Height and width in pixels of the padded image that prompts refer to."""
        h, w = self.image_embedding_size
        return h * self.stride, w * self.stride

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """Height and width of a mask prompt: four times the embedding's grid."""
        h, w = self.image_embedding_size
        return 4 * h, 4 * w

    def get_dense_pe(self) -> Tensor:
        """Positional encoding of every cell of the grid: 1 x C x h x w."""
        return self.pe_layer(self.image_embedding_size)[None]

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        window: Window | None = None,
        padded: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Embeds one set of prompts for each of B masks.

        points: coordinates B x N x 2 (x, y in pixels of the padded input) and labels B x N.
        boxes: B x 4, XYXY in the same pixels. masks: B x 1 x 4h x 4w logits.
        window: the part of the grid that the dense map shall cover, all of it where None; masks
            then have four times the window's size. Coordinates always refer to the whole input.
        padded: every row of points holds a box as two corners, or else a point of padding.
        Returns sparse tokens B x T x C, and the dense map B x C x h x w (a stride-0 expansion of
        one vector where nothing was drawn, so that the decoder can share work between prompts).
        """
        b = _batch_size(points, boxes, masks)
        weight = self.no_mask_embed.weight
        sparse = weight.new_empty(b, 0, self.embed_dim)
        if points is not None:
            sparse = self.embed_points(*points, pad=boxes is None and not padded)
        if boxes is not None:
            sparse = torch.cat([sparse, self._embed_boxes(boxes)], dim=1)
        top, left, h, w = window or (0, 0, *self.image_embedding_size)
        if self.prompt_maps:
            drawn = self.draw(points, boxes, b, (top, left, h, w))
            logits = drawn.new_zeros(b, 1, 4 * h, 4 * w) if masks is None else masks
            dense = self.mask_downscaling(torch.cat([drawn, logits.to(drawn.dtype)], dim=1))
            if masks is None:
                dense = dense + weight.reshape(1, -1, 1, 1)
        elif masks is not None:
            dense = self.mask_downscaling(masks)
        else:
            dense = weight.reshape(1, -1, 1, 1).expand(b, -1, h, w)
        return sparse, dense

    def embed_points(self, coords: Tensor, labels: Tensor, pad: bool) -> Tensor:
        """Tokens B x N x C of points (B x N x 2 and B x N); one more, of no point, with `pad`."""
        coords = coords + 0.5  # to the middle of the pixel
        if pad:
            coords = torch.cat([coords, coords.new_zeros(coords.shape[0], 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), -1)], dim=1)
        place = self.pe_layer.forward_with_coords(coords, self.input_image_size)
        labels = labels[..., None]
        tokens = torch.where(labels == LABEL_PADDING, self.not_a_point_embed.weight, place)
        for label, embedding in enumerate(self.point_embeddings):
            kind = embedding.get_parameter("weight")
            tokens = torch.where(labels == label, tokens + kind, tokens)
        return tokens

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        corners = (boxes + 0.5).reshape(-1, 2, 2)
        tokens = self.pe_layer.forward_with_coords(corners, self.input_image_size)
        kinds = [self.point_embeddings[LABEL_TOP_LEFT], self.point_embeddings[LABEL_BOTTOM_RIGHT]]
        return tokens + torch.cat([kind.get_parameter("weight") for kind in kinds])

    def draw(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, b: int, window: Window
    ) -> Tensor:
        """Prompt maps B x 3 x 4h x 4w: foreground clicks, background clicks, filled box."""
        top, left, h, w = window
        weight = self.no_mask_embed.weight
        pixel = self.stride / 4
        centre = pixel / 2 - 0.5
        y = torch.arange(4 * top, 4 * (top + h), device=weight.device) * pixel + centre
        x = torch.arange(4 * left, 4 * (left + w), device=weight.device) * pixel + centre
        clicks = weight.new_zeros(b, 2, 4 * h, 4 * w)
        if points is not None:
            coords, labels = points[0].to(weight.dtype), points[1]
            scale = -0.5 / CLICK_SIGMA**2
            by_x = torch.exp(scale * (coords[..., 0, None] - x) ** 2)  # B x N x 4w
            by_y = torch.exp(scale * (coords[..., 1, None] - y) ** 2)
            kinds = [
                (labels == label).to(weight.dtype)[..., None]
                for label in (LABEL_FOREGROUND, LABEL_BACKGROUND)
            ]
            clicks = torch.stack([_brightest(by_y * kind, by_x) for kind in kinds], dim=1)
        filled = weight.new_zeros(b, 1, 4 * h, 4 * w)
        if boxes is None and points is not None:
            boxes = _box_of_corners(*points)
        if boxes is not None:
            x0, y0, x1, y1 = boxes.to(weight.dtype)[..., None].unbind(1)  # B x 1 each
            across = _coverage(x, x0, x1, pixel)
            filled = (_coverage(y, y0, y1, pixel)[:, :, None] * across[:, None, :])[:, None]
        return torch.cat([clicks, filled.to(weight.dtype)], dim=1)


def _brightest(by_y: Tensor, by_x: Tensor) -> Tensor:
    """Maximum over clicks of by_y * by_x, at least 0: B x N x h and B x N x w to B x h x w."""
    brightest = by_y.new_zeros(by_y.shape[0], by_y.shape[2], by_x.shape[2])
    if by_y.shape[0] == 1:  # all clicks at once, a graph that serves any number of them
        drawn = by_y[..., None] * by_x[:, :, None]
        return torch.cat([brightest[:, None], drawn], dim=1).amax(1)
    for i in range(by_y.shape[1]):
        brightest = torch.maximum(brightest, by_y[:, i, :, None] * by_x[:, i, None, :])
    return brightest


def _coverage(at: Tensor, low: Tensor, high: Tensor, pixel: float) -> Tensor:
    """How much of the cell of size `pixel` around each place lies between low and high, 0 to 1."""
    inside = torch.minimum(at + pixel / 2, high) - torch.maximum(at - pixel / 2, low)
    return (inside / pixel).clamp(0, 1)


def _box_of_corners(coords: Tensor, labels: Tensor) -> Tensor:
    """Boxes B x 4 from points labelled as corners; an empty box where a row has none."""
    first = (labels == LABEL_TOP_LEFT).to(coords.dtype)[..., None]
    second = (labels == LABEL_BOTTOM_RIGHT).to(coords.dtype)[..., None]
    both = (first.sum(1) * second.sum(1)) > 0
    box = torch.cat([(coords * first).sum(1), (coords * second).sum(1)], dim=-1)
    return torch.where(both, box, box.new_tensor([0.0, 0.0, -1.0, -1.0]))


def _batch_size(
    points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
) -> int:
    if points is not None:
        return points[0].shape[0]
    if boxes is not None:
        return boxes.shape[0]
    return 1 if masks is None else masks.shape[0]


class PositionEmbeddingRandom(nn.Module):
    """Positional encoding by random spatial frequencies (Tancik et al., 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def _encode(self, unit: Tensor) -> Tensor:
        """unit: ... x 2 in [0, 1]. Returns ... x 2 * num_pos_feats, sines before cosines."""
        matrix = self.positional_encoding_gaussian_matrix
        phase = (2 * unit.to(matrix.dtype) - 1) @ matrix * (2 * math.pi)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def forward(self, size: tuple[int, int]) -> Tensor:
        """Encoding of the middle of each cell of an h x w grid: C x h x w."""
        h, w = size
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(h, device=device) + 0.5) / h
        x = (torch.arange(w, device=device) + 0.5) / w
        grid = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return self._encode(grid).permute(2, 0, 1)

    def forward_with_coords(self, coords: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Encoding of pixels: ... x 2 (x, y) within an image of (height, width)."""
        h, w = image_size
        return self._encode(coords / coords.new_tensor([w, h]))
