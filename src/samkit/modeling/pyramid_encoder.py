"""The small default model's encoder: a convolutional trunk joined top-down at 1/8 of the image.

The trunk has the shape of EfficientNet-Lite (Liu, 2020: MBConv blocks without squeeze and
excitation, ReLU6), so that its ImageNet weights can be the start of training. Its stages at 1/8,
1/16, 1/32 and one more at 1/64 are joined as in feature pyramid networks (Lin et al., 2017). The
levels at 1/4 and 1/2 are handed to the decoder's upscaling as finer features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.modeling.common import LayerNorm2d, MLPBlock
from samkit.modeling.config import PyramidConfig


class PyramidEncoder(nn.Module):
    """B x 3 x S x S to B x C x S/8 x S/8, and features at 1/4 (C/4) and 1/2 (C/8 channels)."""

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        self.img_size = config.img_size
        out = config.out_chans
        self.trunk = Trunk(config)
        self.deep = nn.Sequential(
            nn.Conv2d(self.trunk.chans[-1], out, kernel_size=3, stride=2, padding=1),
            LayerNorm2d(out),
            nn.GELU(),
        )
        by_stride = dict(zip(self.trunk.strides, self.trunk.chans, strict=True))
        self.laterals = nn.ModuleList(
            nn.Conv2d(by_stride[stride], out, kernel_size=1) for stride in (32, 16, 8)
        )
        self.joins = nn.ModuleList(JoinBlock(out) for _ in range(3))
        self.neck = nn.Sequential(
            nn.Conv2d(out, out, kernel_size=3, padding=1, bias=False), LayerNorm2d(out)
        )
        self.fine_4 = nn.Conv2d(by_stride[4], out // 4, kernel_size=1)
        self.fine_4_context = nn.Conv2d(out, out // 4, kernel_size=1, bias=False)
        self.fine_2 = nn.Conv2d(by_stride[2], out // 8, kernel_size=1)
        # The trunk's features are several units wide. Finer ones start small beside what the
        # decoder adds them to, else masks begin as edges that no prompt can move.
        for lateral in self.laterals:
            weight = lateral.get_parameter("weight")
            nn.init.normal_(weight, std=0.2 / weight.shape[1] ** 0.5)
        for fine in (self.fine_4, self.fine_2):
            nn.init.normal_(fine.weight, std=0.01)
        self.fine_levels = nn.ModuleList()
        if dim := config.fine_chans:
            self.fine_levels.append(FineLevel(by_stride[4], out, 2 * dim, out // 4))
            self.fine_levels.append(FineLevel(by_stride[2], 2 * dim, dim, out // 8))

    def forward(self, x: Tensor) -> Tensor:
        """x: B x 3 x H x W, normalised. Returns the embedding B x C x H/8 x W/8."""
        return self.forward_with_fine(x)[0]

    def forward_with_fine(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The embedding, and the finer features by name."""
        x = x.contiguous(memory_format=torch.channels_last)  # depthwise convolutions run 3x faster
        at_2, at_4, *levels = self.trunk(x)
        top = self.deep(levels[-1])
        for level, lateral, join in zip(levels[::-1], self.laterals, self.joins, strict=True):
            top = join(lateral(level) + _enlarge(top, level))
        fine_4 = self.fine_4(at_4) + _enlarge(self.fine_4_context(top), at_4)
        fine_2 = self.fine_2(at_2)
        if self.fine_levels:
            level_4, level_2 = self.fine_levels
            more_4, around = level_4(at_4, top)
            more_2, _ = level_2(at_2, around)
            fine_4, fine_2 = fine_4 + more_4, fine_2 + more_2
        return self.neck(top), {"stride_4": fine_4, "stride_2": fine_2}


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


class FineLevel(nn.Module):
    """Finer features that know what they lie in, as on the way up of a U-Net (Ronneberger, 2015).

    The trunk's features at a stride and the next coarser level meet in two 3 x 3 convolutions. What
    is made of them starts at zero, so that a model trained without can be given such levels.
    """

    def __init__(self, chans: int, coarser: int, dim: int, out: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(chans, dim, kernel_size=1)
        self.context = nn.Conv2d(coarser, dim, kernel_size=1, bias=False)
        self.convs = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(dim, dim, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(dim, dim, kernel_size=3, padding=1),
            nn.ReLU(),
        )
        self.out = nn.Conv2d(dim, out, kernel_size=1)
        nn.init.normal_(self.lateral.weight, std=0.2 / chans**0.5)
        for value in self.out.parameters():
            nn.init.zeros_(value)

    def forward(self, x: Tensor, coarser: Tensor) -> tuple[Tensor, Tensor]:
        """x: B x chans x h x w; coarser: B x coarser x h/2 x w/2. Returns B x out x h x w to add to
        the finer features, and B x dim x h x w for the next level."""
        x = self.convs(self.lateral(x) + _enlarge(self.context(coarser), x))
        return self.out(x), x


class JoinBlock(nn.Module):
    """Smooths a joined level: depthwise 3 x 3 and two pointwise layers, residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel_size=3, padding=1, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x h x w. Same shape."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.mlp(y).permute(0, 3, 1, 2)


class Trunk(nn.Module):
    """Strided stages of MBConv blocks; returns the last features of every stride from 2 to 32."""

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(3, config.stem_chans, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        chans, stride = config.stem_chans, 2
        ends: dict[int, tuple[int, int]] = {}  # stride: (index of its last block, channels)
        for out, depth, step, kernel, expansion in zip(
            config.stage_chans,
            config.stage_depths,
            config.stage_strides,
            config.stage_kernels,
            config.stage_expansions,
            strict=True,
        ):
            for i in range(depth):
                blocks.append(MBConv(chans, out, kernel, step if i == 0 else 1, expansion))
                chans = out
            stride *= step
            ends[stride] = (len(blocks) - 1, chans)
        self.blocks = nn.ModuleList(blocks)
        self.strides = tuple(ends)
        self.chans = tuple(chans for _, chans in ends.values())
        self._ends = {index for index, _ in ends.values()}

    def train(self, mode: bool = True) -> "Trunk":
        """Normalisation always uses the stored statistics: batches of a few crops have none."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: B x 3 x H x W. Returns the features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        x = self.stem(x)
        levels = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._ends:
                levels.append(x)
        return levels


class ConvNorm(nn.Module):
    """Convolution, normalisation, and ReLU6 where wanted; strided ones pad as TensorFlow does."""

    def __init__(
        self, chans: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        pad = kernel - stride if stride > 1 else kernel - 1
        self.padding = (pad // 2, pad - pad // 2) * 2  # more on the right and bottom
        self.conv = nn.Conv2d(chans, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3)
        self.act = nn.ReLU6() if act else nn.Identity()
        if pad % 2 == 0:
            self.conv.padding = (pad // 2, pad // 2)
            self.padding = (0, 0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x H x W. Returns B x out x H/stride x W/stride."""
        if any(self.padding):
            x = F.pad(x, self.padding)
        return self.act(self.norm(self.conv(x)))


class MBConv(nn.Module):
    """Expand, depthwise convolution, project; residual where shapes allow."""

    def __init__(self, chans: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = chans * expansion
        self.expand = ConvNorm(chans, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, out, 1, act=False)
        self.residual = stride == 1 and chans == out

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x H x W. Returns B x out x H/stride x W/stride."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y
