"""Masked autoencoders: what is hidden, what counts, and transformers' ViTMAE as the reference."""

import math
import re

import pytest
import torch

from samkit.modeling import PyramidConfig, PyramidEncoder, ViTConfig
from samkit.modeling.masked_autoencoder import MaskedAutoencoderViT, position_table
from samkit.modeling.masked_patches import (
    MaskedDecoderConfig,
    choose_visible,
    denormalise,
    masked_loss,
    normalise,
    patchify,
    unpatchify,
)
from samkit.modeling.masked_pyramid import MaskedPyramid

VIT = ViTConfig(img_size=64, embed_dim=32, depth=2, num_heads=2)
PYRAMID = PyramidConfig(
    img_size=64,
    stem_chans=8,
    stage_chans=(8, 8, 8, 16, 16),
    stage_depths=(1,) * 5,
    stage_strides=(1, 2, 2, 2, 2),
    stage_kernels=(3,) * 5,
    stage_expansions=(1,) + (2,) * 4,
    out_chans=16,
    fine_chans=4,
)
DECODER = MaskedDecoderConfig(dim=16, depth=1, num_heads=4)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def vit() -> MaskedAutoencoderViT:
    torch.manual_seed(0)
    return MaskedAutoencoderViT(VIT, DECODER)


@pytest.fixture
def pyramid() -> MaskedPyramid:
    torch.manual_seed(0)
    return MaskedPyramid(PYRAMID, DECODER)


def test_three_quarters_are_hidden_those_with_the_most_noise() -> None:
    visible, hidden = choose_visible(torch.tensor([[0.3, 0.9, 0.1, 0.7, 0.8, 0.2, 0.6, 0.5]]))
    assert visible.tolist() == [[2, 5]]
    assert hidden.tolist() == [[True, True, False, True, True, False, True, True]]


def test_patches_are_rows_of_y_x_channel_and_go_back() -> None:
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    patches = patchify(images, 2)
    assert patches.shape == (2, 4, 12)
    right_top = [images[0, c, y, x].item() for y in (0, 1) for x in (2, 3) for c in range(3)]
    assert patches[0, 1].tolist() == right_top
    assert torch.equal(unpatchify(patches, 2), images)


def test_loss_is_the_hand_computed_one() -> None:
    """Patches of one pixel by its three channels: normalised by the deviation over n - 1."""
    images = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 8.0]]).reshape(1, 3, 1, 2)
    predicted = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    first = 2 / 3  # (-1, 0, 1) against zeros
    root = math.sqrt(3)  # the second has mean 6 and variance 3
    second = ((-1 / root - 1) ** 2 * 2 + (2 / root - 1) ** 2) / 3
    for hidden, expected in (
        ([True, False], first),
        ([False, True], second),
        ([True, True], (first + second) / 2),
    ):
        loss = masked_loss(predicted, images, torch.tensor([hidden]), 1)
        assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_visible_patches_do_not_count(vit: MaskedAutoencoderViT, generator) -> None:
    images = torch.randn(2, 3, 64, 64, generator=generator)
    _, predicted, hidden = vit(images, torch.rand(2, 16, generator=generator))
    predicted = predicted.detach().requires_grad_()
    masked_loss(predicted, images, hidden, 16).backward()
    touched = predicted.grad.abs().sum(-1) > 0
    assert torch.equal(touched, hidden)


def test_denormalised_targets_are_the_pixels(generator) -> None:
    patches = torch.randn(1, 4, 12, generator=generator)
    assert torch.allclose(denormalise(normalise(patches), patches), patches, atol=1e-5)


def test_only_visible_patches_are_encoded(vit: MaskedAutoencoderViT, generator) -> None:
    """A quarter of the 16 patches and the cls token reach the blocks; hidden pixels do nothing."""
    lengths = []
    vit.blocks[0].register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape))
    images = torch.randn(1, 3, 64, 64, generator=generator)
    noise = torch.rand(1, 16, generator=generator)
    _, before, hidden = vit(images, noise)
    other = torch.where(hidden[..., None], 7.0, patchify(images, 16))
    after = vit(unpatchify(other, 16), noise).predicted
    assert lengths == [(1, 5, 32)] * 2
    assert torch.equal(before, after)


def test_the_pyramid_sees_no_hidden_pixel(pyramid: MaskedPyramid, generator) -> None:
    images = torch.randn(2, 3, 64, 64, generator=generator)
    noise = torch.rand(2, 4, generator=generator)
    loss, before, hidden = pyramid(images, noise)
    assert before.shape == (2, 4, 32 * 32 * 3) and hidden.sum() == 6 and loss.dim() == 0
    other = torch.where(hidden[..., None], 7.0, patchify(images, 32))
    assert torch.equal(before, pyramid(unpatchify(other, 32), noise).predicted)
    with torch.no_grad():
        pyramid.hidden_colour.fill_(1.0)
    painted = patchify(pyramid.paint(images, hidden), 32)
    assert (painted[hidden] == 1).all()
    assert torch.equal(painted[~hidden], patchify(images, 32)[~hidden])


@pytest.mark.parametrize("kind", ["vit", "pyramid"])
def test_every_learned_parameter_gets_a_gradient(kind: str, request, generator) -> None:
    model = request.getfixturevalue(kind)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    model(images, torch.rand(2, model.patches, generator=generator)).loss.backward()
    for name, parameter in model.named_parameters():
        predicted = "fine_" not in name  # finer features are no part of the embedding
        if parameter.requires_grad:
            assert (parameter.grad is not None) == predicted, name


def test_the_pyramid_s_file_has_the_statistics_of_whole_images(
    pyramid: MaskedPyramid, generator
) -> None:
    """Loaded and frozen, the encoder normalises the batch as it did with the batch's own."""
    images = torch.randn(48, 3, 64, 64, generator=generator)
    before = {name: value.clone() for name, value in pyramid.state_dict().items()}
    weights = pyramid.encoder_weights([images])
    assert all(torch.equal(value, before[name]) for name, value in pyramid.state_dict().items())
    assert not any("fine_" in name for name in weights)
    encoder = PyramidEncoder(PYRAMID).eval()
    assert not encoder.load_state_dict(weights, strict=False).unexpected_keys
    with torch.no_grad():
        own, frozen = pyramid.encoder(images), encoder(images)
    assert torch.allclose(own, frozen, atol=0.05)  # the kept variance is that of a sample
    assert not torch.allclose(weights["trunk.stem.norm.running_mean"], torch.zeros(8))


def test_positions_tell_column_then_row_by_sine_then_cosine() -> None:
    table = position_table(8, 3)
    assert table.shape == (1, 10, 8)
    assert not table[0, 0].any()
    row, column = 2, 1
    angles = [column, column / 100, row, row / 100]
    expected = [
        *map(math.sin, angles[:2]),
        *map(math.cos, angles[:2]),
        *map(math.sin, angles[2:]),
        *map(math.cos, angles[2:]),
    ]
    assert table[0, 1 + 3 * row + column].tolist() == pytest.approx(expected, abs=1e-6)


def test_transformers_vit_mae_has_the_same_loss(vit: MaskedAutoencoderViT, generator) -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            image_size=64,
            patch_size=16,
            decoder_hidden_size=16,
            decoder_num_hidden_layers=1,
            decoder_num_attention_heads=4,
            decoder_intermediate_size=64,
            layer_norm_eps=1e-6,
            norm_pix_loss=True,
        )
    ).eval()
    ours = vit.state_dict()
    for value in ours.values():
        value.copy_(0.3 * torch.randn(value.shape, generator=generator))
    theirs = reference.state_dict()
    missing = set(ours)
    for name, value in theirs.items():
        value.copy_(_of_ours(name, ours, missing))
    assert not missing
    images = torch.randn(3, 3, 64, 64, generator=generator)
    noise = torch.rand(3, 16, generator=generator)
    loss, predicted, hidden = vit(images, noise)
    expected = reference(pixel_values=images, noise=noise)
    assert torch.equal(hidden.float(), expected.mask)
    assert torch.allclose(predicted, expected.logits, atol=1e-5)
    assert loss.item() == pytest.approx(expected.loss.item(), abs=1e-5)


def _of_ours(name: str, ours: dict[str, torch.Tensor], missing: set[str]) -> torch.Tensor:
    """The tensor of ours that is `name` in transformers' model."""
    for theirs, our in {
        r"^vit\.embeddings\.cls_token": "cls_token",
        r"^vit\.embeddings\.position_embeddings": "pos_embed",
        r"^vit\.embeddings\.patch_embeddings\.projection": "patch_embed.proj",
        r"^vit\.layernorm": "norm",
        r"^vit\.layers\.": "blocks.",
        r"^decoder\.mask_token": "mask_token",
        r"^decoder\.decoder_(norm|pred|embed|pos_embed)": r"decoder_\1",
        r"^decoder\.decoder_layers\.": "decoder_blocks.",
        r"layernorm_before": "norm1",
        r"layernorm_after": "norm2",
        r"attention\.o_proj": "attn.proj",
        r"attention\.(?=[qkv]_)": "attn.",
    }.items():
        name = re.sub(theirs, our, name)
    if part := re.search(r"attn\.([qkv])_proj\.", name):
        qkv = name.replace(f"{part[1]}_proj", "qkv")
        missing.discard(qkv)
        return ours[qkv].chunk(3)["qkv".index(part[1])]
    missing.discard(name)
    return ours[name]
