"""The masked autoencoder of a plain ViT (He et al., 2022), whose weights start SAM's encoder.

Only visible patches are encoded, with global attention among them; a light transformer is given
their features and a mask token at every hidden place. Names of tensors are those of the published
files. Windows and relative positions of SAM's encoder are not there yet: they start fresh when the
weights are loaded (`samkit.checkpoints.mae`).
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.config import ViTConfig
from samkit.modeling.masked_patches import MaskedAutoencoder, MaskedDecoderConfig, Masking

_NORM_EPS = 1e-6


class MaskedAutoencoderViT(MaskedAutoencoder):
    """Predicts the hidden patches of B x 3 x S x S images, S the config's img_size."""

    cls_token: nn.Parameter
    pos_embed: Tensor
    decoder_pos_embed: Tensor

    def __init__(self, config: ViTConfig, decoder: MaskedDecoderConfig) -> None:
        """config: img_size is pre-training's; what it says about windows has no meaning here."""
        super().__init__(config.img_size, config.patch_size)
        dim, grid = config.embed_dim, config.img_size // config.patch_size
        self.patch_embed = PatchTokens(config.patch_size, dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.register_buffer("pos_embed", position_table(dim, grid))
        self.blocks = nn.ModuleList(
            PlainBlock(dim, config.num_heads, config.mlp_ratio, config.qkv_bias)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=_NORM_EPS)

        self.decoder_embed = nn.Linear(dim, decoder.dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder.dim))
        self.register_buffer("decoder_pos_embed", position_table(decoder.dim, grid))
        self.decoder_blocks = nn.ModuleList(
            PlainBlock(decoder.dim, decoder.num_heads) for _ in range(decoder.depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder.dim, eps=_NORM_EPS)
        self.decoder_pred = nn.Linear(decoder.dim, config.patch_size**2 * 3)
        self._initialise()

    def predict(self, images: Tensor, masking: Masking) -> Tensor:
        """B x 3 x S x S to normalised pixels B x N x p*p*3."""
        return self.decode(self.encode(images, masking.visible), masking.visible)

    def encode(self, images: Tensor, visible: Tensor) -> Tensor:
        """images: B x 3 x S x S; visible: B x V indices. Features B x (1 + V) x C, cls first."""
        patches = self.patch_embed(images) + self.pos_embed[:, 1:]
        tokens = patches.gather(1, visible[..., None].expand(-1, -1, patches.shape[-1]))
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        x = torch.cat([cls.to(tokens.dtype), tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, features: Tensor, visible: Tensor) -> Tensor:
        """features: B x (1 + V) x C of the patches `visible`. Returns B x N x p*p*3."""
        x = self.decoder_embed(features)
        b, _, dim = x.shape
        places = visible[..., None].expand(-1, -1, dim)
        tokens = self.mask_token.to(x.dtype).expand(b, self.patches, -1)
        tokens = tokens.scatter(1, places, x[:, 1:])
        x = torch.cat([x[:, :1], tokens], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]

    def encoder_weights(self, images: Iterable[Tensor]) -> dict[str, Tensor]:
        """All of the encoder, by the names of the published files; `images` are not needed."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(("decoder_", "mask_token"))
        }

    def _initialise(self) -> None:
        """As the published training: Xavier for all products, small normal tokens."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.view(self.cls_token.shape[-1], -1))
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)


class PatchTokens(nn.Module):
    """Projects each patch: B x 3 x H x W to B x N x C."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """images: B x 3 x H x W. Returns B x N x C, by rows."""
        return self.proj(images).flatten(2).transpose(1, 2)


class PlainBlock(nn.Module):
    """A transformer block with global attention and no relative positions."""

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float = 4.0, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_NORM_EPS)
        self.attn = PlainAttention(dim, num_heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim, eps=_NORM_EPS)
        self.mlp = PlainMLP(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """x: B x L x C. Same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PlainAttention(nn.Module):
    """Multi-head self-attention over a sequence."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x L x C. Same shape."""
        b, length, dim = x.shape
        qkv = self.qkv(x).reshape(b, length, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # B x heads x L x d each
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, length, dim))


class PlainMLP(nn.Module):
    """Two linear layers with GELU, by the names of the published files."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: ... x dim. Same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


def position_table(dim: int, grid: int) -> Tensor:
    """Fixed sine and cosine positions: 1 x (1 + grid*grid) x dim, zeros for the cls token.

    The first half of the channels tells the column, the second the row; each is sines, then
    cosines, of the place over 10000^(i / (dim/4)).
    """
    if dim % 4:
        raise ValueError(f"sine positions need a width that is a multiple of 4, not {dim}")
    rates = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * rates
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # grid x dim/2
    columns = axis[None].expand(grid, -1, -1)
    rows = axis[:, None].expand(-1, grid, -1)
    table = torch.cat([columns, rows], dim=2).reshape(1, grid * grid, dim)
    return torch.cat([torch.zeros(1, 1, dim), table.float()], dim=1)
