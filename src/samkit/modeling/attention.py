"""Attention over a grid of tokens with decomposed relative positions, in little memory.

score(q, k) = q . k / sqrt(d) + q . Rh[row(q) - row(k)] + q . Rw[col(q) - col(k)]

The matrix of all scores of a 64 x 64 grid has 4096 x 4096 entries a head; the published code holds
several of these for all heads at once. Here none is ever held whole:

- while gradients are wanted, and off the CPU, the position terms become 2 x 64 more dimensions of
  the query (against one-hot rows and columns in the key), and a fused attention does the rest;
- for inference on a CPU, a fused attention is handed the position terms block by block: some grid
  rows of one head, or several windows, from one reused buffer.

Both agree within 1e-5 (tested).
"""

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_SCORES = 1 << 22
"""Scores whose bias is held at once on a CPU: 16 MB of float32."""


def attend(heads: Tensor, tables: tuple[Tensor, Tensor] | None) -> Tensor:
    """Attention of every grid cell to all cells of its grid.

    heads: B x H x W x 3 x heads x d, the projections q, k, v.
    tables: relative positions (2 * extent - 1) x d for rows and for columns, or None.
    Returns B x H x W x (heads * d).
    """
    b, h, w, _, n, d = heads.shape
    q, k, v = heads.reshape(b, h * w, 3, n, d).permute(2, 0, 3, 1, 4).unbind(0)  # B x n x HW x d
    if tables is None:
        out = F.scaled_dot_product_attention(q, k, v)
        return out.transpose(1, 2).reshape(b, h, w, n * d)
    row_table, col_table = relative(tables[0], h), relative(tables[1], w)
    if torch.is_grad_enabled() or heads.device.type != "cpu":
        out = _attend_fused(q, k, v, row_table, col_table)
    else:
        out = _attend_blocks(q, k, v, row_table, col_table)
    return out.transpose(1, 2).reshape(b, h, w, n * d)


def relative(table: Tensor, size: int) -> Tensor:
    """The embedding of every query-key distance along one axis of `size` cells.

    table: (2 * extent - 1) x d. Returns size x size x d, entry [i, j] for a query at i and a key
    at j. A table made for another extent is interpolated linearly.
    """
    distances = 2 * size - 1
    if table.shape[0] != distances:
        table = F.interpolate(table.T[None], size=distances, mode="linear")[0].T
    at = torch.arange(size, device=table.device)
    return table[at[:, None] - at[None, :] + size - 1]


def _biases(q: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
    """The two position terms of every query: B x n x HW x H and B x n x HW x W."""
    b, n, _, d = q.shape
    h, w = rows.shape[0], cols.shape[0]
    grid = q.reshape(b, n, h, w, d)
    by_row = grid @ rows.transpose(1, 2)  # (H x W x d) @ (H x d x H)
    by_col = torch.einsum("bnhwd,wkd->bnhwk", grid, cols)
    return by_row.reshape(b, n, h * w, h), by_col.reshape(b, n, h * w, w)


def _attend_fused(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Differentiable form: the position terms as further dimensions of q, one-hot ones of k."""
    b, n, length, d = q.shape
    h, w = rows.shape[0], cols.shape[0]
    by_row, by_col = _biases(q, rows, cols)
    q = torch.cat([q * d**-0.5, by_row.to(q.dtype), by_col.to(q.dtype)], dim=-1)
    row_of = torch.eye(h, dtype=k.dtype, device=k.device).repeat_interleave(w, dim=0)
    col_of = torch.eye(w, dtype=k.dtype, device=k.device).repeat(h, 1)
    place = torch.cat([row_of, col_of], dim=-1).expand(b, n, length, h + w)
    k = torch.cat([k, place], dim=-1)
    v = F.pad(v, (0, h + w))  # fused kernels want one width for all three
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :d]


def _attend_blocks(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Inference form for CPUs: a fused attention that is handed the bias block by block.

    A block is half of the heads of some windows; of a large grid, some rows of one head.
    """
    b, n, length, _ = q.shape
    h, w = rows.shape[0], cols.shape[0]
    grids = min(b, max(1, BLOCK_SCORES // (length * length)))
    heads = min(max(1, n // 2), max(1, BLOCK_SCORES // (grids * length * length)))
    step = min(h, max(1, BLOCK_SCORES // (length * w))) * w
    out = torch.empty_like(q)
    buffer = q.new_empty(grids * heads * step * length)
    for start, first in product(range(0, b, grids), range(0, n, heads)):
        some = slice(start, start + grids), slice(first, first + heads)
        query, key, value = (part[some].contiguous() for part in (q, k, v))
        by_row, by_col = _biases(query, rows, cols)
        for top in range(0, length, step):
            part = slice(top, top + step)
            bias = buffer[: by_row[:, :, part, 0].numel() * length].view(*query.shape[:2], -1, h, w)
            torch.add(by_row[:, :, part, :, None], by_col[:, :, part, None, :], out=bias)
            out[some][:, :, part] = F.scaled_dot_product_attention(
                query[:, :, part], key, value, attn_mask=bias.flatten(-2)
            )
    return out


def window_partition(x: Tensor, size: int, fill: Tensor | None) -> Tensor:
    """Cuts B x H x W x C into windows, (B * count) x size x size x C, padded right and bottom.

    fill: C values for the padding, zeros where None.
    """
    b, h, w, c = x.shape
    down, across = -(-h // size), -(-w // size)
    if (down * size, across * size) != (h, w):
        padded = x.new_zeros(c) if fill is None else fill.to(x.dtype)
        padded = padded.expand(b, down * size, across * size, c).clone()
        padded[:, :h, :w] = x
        x = padded
    x = x.view(b, down, size, across, size, c)
    return x.transpose(2, 3).reshape(-1, size, size, c)


def window_unpartition(windows: Tensor, size: int, b: int, h: int, w: int) -> Tensor:
    """The inverse of `window_partition`: B x H x W x C without the padding."""
    down, across = -(-h // size), -(-w // size)
    x = windows.view(b, down, across, size, size, -1).transpose(2, 3)
    return x.reshape(b, down * size, across * size, -1)[:, :h, :w]
