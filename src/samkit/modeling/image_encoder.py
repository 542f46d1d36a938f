"""The ViT image encoder (SAM section 3, "Image encoder", and appendix A)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.attention import (
    add_decomposed_rel_pos,
    attend,
    get_rel_pos,
    window_partition,
    window_unpartition,
)
from samkit.modeling.common import DropPath, LayerNorm2d, MLPBlock
from samkit.modeling.config import ViTConfig

__all__ = [
    "Attention",
    "Block",
    "ImageEncoderViT",
    "PatchEmbed",
    "add_decomposed_rel_pos",  # officially of this module, as are the next three
    "get_rel_pos",
    "window_partition",
    "window_unpartition",
]

BAND_VALUES = 1 << 23
"""Hidden values of an MLP at once on a CPU: 32 MB of float32 are the most that the allocator keeps
for its next use, and mapping fresh memory costs as much as the arithmetic in it."""


class ImageEncoderViT(nn.Module):
    """Maps a normalised image to its embedding: B x 3 x S x S to B x out_chans x S/16 x S/16.

    Any height and width that are multiples of the patch size work: absolute positions are
    interpolated (bicubic), relative ones as well (linear).
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.img_size = config.img_size
        self.patch_size = config.patch_size
        grid = config.img_size // config.patch_size
        self.patch_embed = PatchEmbed(config.patch_size, config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.embed_dim))
        rates = [config.drop_path * i / max(1, config.depth - 1) for i in range(config.depth)]
        self.blocks = nn.ModuleList(
            Block(config, 0 if i in config.global_attn_indexes else config.window_size, grid, rate)
            for i, rate in enumerate(rates)
        )
        out = config.out_chans
        self.neck = nn.Sequential(
            nn.Conv2d(config.embed_dim, out, kernel_size=1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: B x 3 x H x W, normalised. Returns B x out_chans x H/16 x W/16."""
        x = self.patch_embed(x)
        x = x + self._positions(x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))

    def forward_with_fine(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The embedding and no finer features: the published decoder adds none."""
        return self(x), {}

    def _positions(self, h: int, w: int) -> Tensor:
        if self.pos_embed.shape[1:3] == (h, w):
            return self.pos_embed
        table = self.pos_embed.permute(0, 3, 1, 2)
        table = F.interpolate(table, size=(h, w), mode="bicubic", align_corners=False)
        return table.permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """Cuts the image into patches and projects each: B x 3 x H x W to B x H/p x W/p x C."""

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x 3 x H x W. Returns B x H/p x W/p x C."""
        return self.proj(x).permute(0, 2, 3, 1)


class Block(nn.Module):
    """A transformer block with attention inside windows, or global where window_size is 0."""

    def __init__(self, config: ViTConfig, window_size: int, grid: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.attn = Attention(config, window_size or grid, window_size)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.mlp = MLPBlock(config.embed_dim, int(config.embed_dim * config.mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x H x W x C. Same shape.

        For inference on a CPU some rows of the grid at a time: rows of windows know nothing of each
        other, and an MLP no other token, so that the numbers are the same.
        """
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return self._transform(self._mix(x))
        rows = max(1, BAND_VALUES // (x.shape[0] * x.shape[2] * self.mlp.lin1.out_features))
        size = self.attn.window_size
        if size:
            bands = x.split(max(1, rows // size) * size, dim=1)
            return torch.cat([self._transform(self._mix(band)) for band in bands], dim=1)
        return torch.cat([self._transform(band) for band in self._mix(x).split(rows, 1)], dim=1)

    def _mix(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.attn(self.norm1(x)))

    def _transform(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Multi-head self-attention over a grid, with decomposed relative positions.

    The published blocks pad the normalised tokens with zeros up to whole windows and project them
    then. A zero token projects to the bias of `qkv`, so projecting first and padding with that bias
    gives the same numbers without the padding's share of the work.
    """

    def __init__(self, config: ViTConfig, extent: int, window_size: int) -> None:
        super().__init__()
        dim = config.embed_dim
        self.num_heads = config.num_heads
        self.window_size = window_size
        self.qkv = nn.Linear(dim, dim * 3, bias=config.qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.use_rel_pos = config.use_rel_pos
        if config.use_rel_pos:
            head_dim = dim // config.num_heads
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * extent - 1, head_dim))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * extent - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: B x H x W x C. Same shape."""
        _, h, w, c = x.shape
        qkv = self.qkv(x)
        size = self.window_size
        if size:
            qkv, padded = window_partition(qkv, size, self.qkv.bias)  # (B*windows) x s x s x 3C
        n, rows, cols, _ = qkv.shape
        heads = qkv.reshape(n, rows, cols, 3, self.num_heads, c // self.num_heads)
        tables = (self.rel_pos_h, self.rel_pos_w) if self.use_rel_pos else None
        out = attend(heads, tables)  # n x rows x cols x C
        if size:
            out = window_unpartition(out, size, padded, (h, w))
        return self.proj(out)
