"""The decoder's re-associated attention against the plain order of products."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.modeling import MaskDecoderConfig, TwoWayTransformer
from samkit.modeling.transformer import MANY_TOKENS, Attention

TOLERANCE = 1e-5


def layer(dim=32, heads=4, rate=2):
    torch.manual_seed(3)
    made = Attention(dim, heads, rate)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@settings(max_examples=30)
@given(
    b=st.integers(1, 4),
    tokens=st.sampled_from([1, 2, 7, MANY_TOKENS, MANY_TOKENS + 1, 40]),
    cells=st.sampled_from([1, 9, 60]),
    shared=st.booleans(),
    differentiable=st.booleans(),
)
def test_every_branch_agrees_with_plain_attention(b, tokens, cells, shared, differentiable):
    attention = layer()
    torch.manual_seed(b * 1000 + tokens * 10 + cells)
    asked, told = torch.randn(2, b, tokens, 32)
    image, pe = torch.randn(1 if shared else b, cells, 32), torch.randn(1, cells, 32)
    every = image.expand(b, -1, -1)
    with torch.set_grad_enabled(differentiable):
        to_image = attention.tokens_to_image(asked, image, pe)
        to_tokens = attention.image_to_tokens(image, pe, asked, told)
    scale = 1 + attention(asked, every + pe, every).abs().max()
    assert (to_image - attention(asked, every + pe, every)).abs().max() < TOLERANCE * scale
    assert (to_tokens - attention(every + pe, asked, told)).abs().max() < TOLERANCE * scale


def make(depth=2, dim=32):
    torch.manual_seed(5)
    transformer = TwoWayTransformer(
        MaskDecoderConfig(transformer_depth=depth, num_heads=4, mlp_dim=64), dim
    ).eval()
    for name, parameter in transformer.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return transformer


@pytest.mark.parametrize("tokens", [5, 7, 30])
def test_a_shared_image_gives_what_copies_of_it_give(tokens):
    transformer = make()
    image, pe = torch.randn(2, 1, 32, 6, 5).unbind(0)
    queries = torch.randn(3, tokens, 32)
    shared = transformer(image, pe, queries)
    copied = transformer(image.repeat(3, 1, 1, 1), pe, queries)
    for ours, theirs in zip(shared, copied, strict=True):
        assert (ours - theirs).abs().max() < TOLERANCE


def test_prompts_of_a_batch_do_not_see_each_other():
    transformer = make()
    image, pe = torch.randn(2, 1, 32, 6, 5).unbind(0)
    queries = torch.randn(3, 7, 32)
    together = transformer(image, pe, queries)
    for i in range(3):
        alone = transformer(image, pe, queries[i : i + 1])
        assert (together[0][i] - alone[0][0]).abs().max() < TOLERANCE
        assert (together[1][i] - alone[1][0]).abs().max() < TOLERANCE


def test_dropout_acts_in_training_only():
    transformer = TwoWayTransformer(MaskDecoderConfig(num_heads=4, mlp_dim=64, dropout=0.5), 32)
    image, pe = torch.randn(2, 1, 32, 6, 5).unbind(0)
    queries = torch.randn(3, 7, 32)
    transformer.eval()
    assert torch.equal(transformer(image, pe, queries)[0], transformer(image, pe, queries)[0])
    transformer.train()
    assert not torch.equal(transformer(image, pe, queries)[0], transformer(image, pe, queries)[0])
