"""Small layers that several parts share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a B x C x H x W tensor."""

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x: B x C x H x W. Same shape and dtype; each pixel's C values normalised."""
        return self.over_last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def over_last(self, x: Tensor) -> Tensor:
        """The same for x: ... x C, the channels last."""
        return nn.functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


_IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.GELU: torch.ops.aten.gelu_,
    nn.ReLU: torch.relu_,
}
"""Activations without fresh memory, for values that only the block itself holds."""


class MLPBlock(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """x: ... x embedding_dim. Same shape."""
        hidden = self.lin1(x)
        if torch.is_grad_enabled():
            hidden = self.act(hidden)
        else:
            _IN_PLACE[type(self.act)](hidden)
        return self.lin2(hidden)


class DropPath(nn.Module):
    """Stochastic depth: leaves a residual branch out for whole samples while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x: B x ... ; samples are kept with probability 1 - rate and scaled by its inverse."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.dim() - 1)
        return x * x.new_empty(shape).bernoulli_(keep) / keep
