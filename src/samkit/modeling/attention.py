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
    row_table, col_table = get_rel_pos(h, h, tables[0]), get_rel_pos(w, w, tables[1])
    if torch.is_grad_enabled() or heads.device.type != "cpu":
        out = _attend_fused(q, k, v, row_table, col_table)
    else:
        out = _attend_blocks(q, k, v, row_table, col_table)
    return out.transpose(1, 2).reshape(b, h, w, n * d)


def get_rel_pos(q_size: int, k_size: int, rel_pos: Tensor) -> Tensor:
    """The embedding of every query-key distance along one axis (official name and arguments).

    rel_pos: (2 * extent - 1) x d. Returns q_size x k_size x d, entry [i, j] for a query at i and a
    key at j, both on the finer of the two grids. A table made for another extent is interpolated
    linearly.
    """
    size = max(q_size, k_size)
    distances = 2 * size - 1
    if rel_pos.shape[0] != distances:
        rel_pos = F.interpolate(rel_pos.T[None], size=distances, mode="linear")[0].T
    queries = torch.arange(q_size, device=rel_pos.device)[:, None] * max(1.0, k_size / q_size)
    step = max(1.0, q_size / k_size)
    keys = torch.arange(k_size, device=rel_pos.device)[None, :] * step
    return rel_pos[(queries - keys + (k_size - 1) * step).long()]


def add_decomposed_rel_pos(
    attn: Tensor,
    q: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    q_size: tuple[int, int],
    k_size: tuple[int, int],
) -> Tensor:
    """Scores B x HW x hw plus the position terms of q, B x HW x d (official name and arguments).

    q_size: (H, W) of the queries' grid, k_size: (h, w) of the keys'. For code of others: `attend`
    never holds all scores.
    """
    rows = get_rel_pos(q_size[0], k_size[0], rel_pos_h)
    cols = get_rel_pos(q_size[1], k_size[1], rel_pos_w)
    by_row, by_col = _biases(q[:, None], rows, cols)
    bias = by_row[:, 0, :, :, None] + by_col[:, 0, :, None, :]
    return attn + bias.flatten(2)


def _biases(q: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
    """The two position terms of every query on H x W, for keys on h x w.

    rows: H x h x d, cols: W x w x d. Returns B x n x HW x h and B x n x HW x w.
    """
    b, n, _, d = q.shape
    grid = q.reshape(b, n, rows.shape[0], cols.shape[0], d)
    by_row = grid @ rows.transpose(1, 2)  # (H x W x d) @ (H x d x h)
    by_col = torch.einsum("bnhwd,wkd->bnhwk", grid, cols)
    return by_row.flatten(2, 3), by_col.flatten(2, 3)


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


def window_partition(
    x: Tensor, window_size: int, fill: Tensor | None = None
) -> tuple[Tensor, tuple[int, int]]:
    """Cuts B x H x W x C into windows, padded right and bottom (official name and arguments).

    fill: C values for the padding, zeros where None. Returns (B * count) x size x size x C, and
    the height and width of the padded grid.
    """
    b, h, w, c = x.shape
    down, across = -(-h // window_size), -(-w // window_size)
    padded = down * window_size, across * window_size
    if padded != (h, w):
        value = x.new_zeros(c) if fill is None else fill.to(x.dtype)
        whole = value.expand(b, *padded, c).clone()
        whole[:, :h, :w] = x
        x = whole
    x = x.view(b, down, window_size, across, window_size, c)
    return x.transpose(2, 3).reshape(-1, window_size, window_size, c), padded


def window_unpartition(
    windows: Tensor, window_size: int, pad_hw: tuple[int, int], hw: tuple[int, int]
) -> Tensor:
    """The inverse of `window_partition`: B x H x W x C without the padding.

    pad_hw: the padded grid, as from there; hw: (H, W).
    """
    down, across = pad_hw[0] // window_size, pad_hw[1] // window_size
    x = windows.view(-1, down, across, window_size, window_size, windows.shape[-1])
    x = x.transpose(2, 3).reshape(x.shape[0], *pad_hw, -1)
    return x[:, : hw[0], : hw[1]]
