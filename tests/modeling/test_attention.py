"""Attention over grids: its two forms agree, its memory is bounded, its windows fit together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from samkit.modeling import ImageEncoderViT, ViTConfig, attention
from samkit.modeling.attention import attend, get_rel_pos, window_partition, window_unpartition
from samkit.modeling.image_encoder import Attention, Block


def inputs(b, h, w, heads=2, d=8, extent=None):
    torch.manual_seed(h * 100 + w)
    tables = tuple(0.5 * torch.randn(2 * (extent or size) - 1, d) for size in (h, w))
    return torch.randn(b, h, w, 3, heads, d), tables


def plain(heads, tables):
    """The definition, score by score."""
    b, h, w, _, n, d = heads.shape
    q, k, v = heads.flatten(1, 2).permute(2, 0, 3, 1, 4)  # B x n x HW x d
    bias = torch.zeros(b, n, h, w, h, w)
    grid = q.view(b, n, h, w, d)
    for i in range(h):
        for j in range(w):
            for y in range(h):
                bias[:, :, i, j, y, :] += (grid[:, :, i, j] @ tables[0][i - y + h - 1])[..., None]
            for x in range(w):
                bias[:, :, i, j, :, x] += (grid[:, :, i, j] @ tables[1][j - x + w - 1])[..., None]
    scores = q @ k.transpose(2, 3) * d**-0.5 + bias.view(b, n, h * w, h * w)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, h, w, n * d)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 5), (5, 6, 2), (1, 1, 7), (3, 1, 1)])
@pytest.mark.parametrize("scores", [1, 40, 1 << 18], ids=["one row", "some rows", "whole grids"])
def test_both_forms_are_the_definition(shape, scores, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK_SCORES", scores)
    heads, tables = inputs(*shape)
    expected = plain(heads, tables)
    with torch.inference_mode():
        blocks = attend(heads, tables)
    fused = attend(heads.requires_grad_(), tables)
    assert fused.requires_grad
    assert (blocks - expected).abs().max() < 1e-5
    assert (fused.detach() - expected).abs().max() < 1e-5


@settings(max_examples=25)
@given(
    b=st.integers(1, 5),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    heads=st.integers(1, 3),
    scores=st.integers(1, 4000),
)
def test_inference_agrees_with_the_differentiable_form(b, h, w, heads, scores):
    x, tables = inputs(b, h, w, heads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK_SCORES", scores)
        with torch.no_grad():
            blocks = attend(x, tables)
    assert (attend(x.requires_grad_(), tables) - blocks).abs().max() < 1e-5


def test_without_relative_positions_it_is_plain_attention():
    heads, tables = inputs(2, 4, 3)
    zeros = tuple(torch.zeros_like(table) for table in tables)
    assert (attend(heads, None) - attend(heads, zeros)).abs().max() < 1e-6


def test_tables_of_another_extent_are_interpolated():
    table = torch.linspace(-1, 1, 27)[:, None]
    assert get_rel_pos(14, 14, table).shape == (14, 14, 1)
    assert get_rel_pos(14, 14, table)[13, 0] == 1 and get_rel_pos(14, 14, table)[0, 13] == -1
    larger = get_rel_pos(20, 20, table)
    assert larger.shape == (20, 20, 1)
    assert (larger.diagonal()[0].abs() < 1e-6).all()  # distance nought stays in the middle
    assert (larger[:, 0].diff(dim=0) > 0).all()


@settings(max_examples=40)
@given(b=st.integers(1, 2), h=st.integers(1, 17), w=st.integers(1, 17), size=st.integers(1, 8))
def test_windows_fit_together_again(b, h, w, size):
    x = torch.arange(b * h * w * 2.0).view(b, h, w, 2)
    windows, padded = window_partition(x, size, fill=torch.tensor([-1.0, -2.0]))
    down, across = -(-h // size), -(-w // size)
    assert padded == (down * size, across * size)
    assert windows.shape == (b * down * across, size, size, 2)
    assert (windows[..., 0] == -1).sum() == b * (down * across * size**2 - h * w)
    assert torch.equal(window_unpartition(windows, size, padded, (h, w)), x)


@pytest.mark.parametrize("bias", [True, False])
def test_padding_after_the_projection_equals_padding_before(bias):
    torch.manual_seed(0)
    config = ViTConfig(img_size=112, embed_dim=16, num_heads=2, qkv_bias=bias)
    layer = Attention(config, extent=5, window_size=5)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 7, 9, 16)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 1, 0, 3))  # zeros, as the published code does
    assert (layer(x) - layer(padded)[:, :7, :9]).abs().max() < 1e-5


@pytest.mark.parametrize("window_size", [0, 5])
def test_a_block_in_bands_equals_the_whole(window_size):
    torch.manual_seed(0)
    config = ViTConfig(img_size=23 * 16, embed_dim=16, num_heads=2)
    block = Block(config, window_size, 23, drop_path=0.0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 23, 21, 16)
    with torch.inference_mode():
        bands = block(x)
    assert (block(x).detach() - bands).abs().max() < 1e-5


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned, by its storage."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for part in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(part, torch.Tensor):
                size = part.untyped_storage().nbytes() // part.element_size()
                self.elements = max(self.elements, size)
        return out


@pytest.mark.parametrize("differentiable", [False, True])
def test_global_attention_never_holds_all_scores(differentiable):
    """Neither forward nor backward makes anything near heads x HW x HW elements."""
    torch.manual_seed(0)
    side, heads = 48, 4
    layer = Attention(ViTConfig(img_size=side * 16, embed_dim=64, num_heads=heads), side, 0)
    every_score = heads * side**4
    x = torch.randn(1, side, side, 64)
    with Largest() as largest:
        if differentiable:
            layer(x).sum().backward()
        else:
            with torch.inference_mode():
                layer(x)
    assert 0 < largest.elements < every_score / 4
    if not differentiable:
        limit = attention.BLOCK_SCORES
        assert largest.elements <= max(limit, side**2 * 64 * 3)


def test_the_memory_test_sees_a_full_matrix():
    with Largest() as largest:
        q = torch.randn(4, 100, 8)
        (q @ q.transpose(1, 2)).softmax(-1)
    assert largest.elements == 4 * 100 * 100


def test_small_grids_are_not_taken_with_all_heads_either():
    heads, tables = inputs(1, 16, 16, heads=4)
    with torch.inference_mode(), Largest() as largest:
        attend(heads, tables)
    assert largest.elements <= 4 * 16**4 / 2


def test_windowed_and_global_layers_are_where_the_configuration_says():
    encoder = ImageEncoderViT(
        ViTConfig(img_size=64, embed_dim=8, num_heads=2, depth=4, global_attn_indexes=(1, 3))
    )
    assert [block.attn.window_size for block in encoder.blocks] == [14, 0, 14, 0]
    assert [block.attn.rel_pos_h.shape[0] for block in encoder.blocks] == [27, 7, 27, 7]
