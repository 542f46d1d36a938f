"""Models of every size, and images of sizes that a model was not made for."""

import pytest
import torch
from torch import nn

from samkit.modeling import VARIANTS, ImageEncoderViT, Sam, ViTConfig

PUBLISHED = {  # shared/checkpoints.md, section 4
    "vit_b": (89_670_912, 6_220, 4_058_340, 93_735_472),
    "vit_l": (308_278_272, 6_220, 4_058_340, 312_342_832),
    "vit_h": (637_026_048, 6_220, 4_058_340, 641_090_608),
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_parameter_counts(name):
    with torch.device("meta"):
        sam = Sam(VARIANTS[name])
    parts = (sam.image_encoder, sam.prompt_encoder, sam.mask_decoder, sam)
    assert tuple(count(part) for part in parts) == PUBLISHED[name]
    assert sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.shape == (2, 128)


def test_published_names_and_shapes():
    with torch.device("meta"):
        state = Sam(VARIANTS["vit_b"]).state_dict()
    assert state["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 64)
    assert state["image_encoder.blocks.2.attn.rel_pos_w"].shape == (127, 64)
    assert state["image_encoder.neck.2.weight"].shape == (256, 256, 3, 3)
    assert state["mask_decoder.output_hypernetworks_mlps.3.layers.2.bias"].shape == (32,)
    assert "pixel_mean" not in state
    assert len(state) == 314


def test_the_default_model_is_small():
    with torch.device("meta"):
        sam = Sam(VARIANTS["default"])
    assert 4 * count(sam) < 25e6 or 2 * count(sam) < 25e6  # fits the wheel, at half precision


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (24, 88), (8, 8), (72, 8)])
def test_other_and_non_square_images(small, size):
    encoder = small("vit").image_encoder
    images = torch.randn(2, 3, *size)
    with torch.inference_mode():
        embedding = encoder(images)
    assert embedding.shape == (2, 32, size[0] // 8, size[1] // 8)
    assert embedding.isfinite().all()
    assert (encoder(images).detach() - embedding).abs().max() < 1e-5
    for i in range(2):  # images of a batch do not see each other
        assert (encoder(images[i : i + 1]).detach()[0] - embedding[i]).abs().max() < 1e-5


def test_positions_are_used_as_they_are_at_the_trained_size_and_interpolated_elsewhere():
    encoder = ImageEncoderViT(ViTConfig(img_size=64, embed_dim=8, num_heads=2, depth=1))
    nn.init.normal_(encoder.pos_embed)
    assert encoder._positions(4, 4) is encoder.pos_embed
    assert encoder._positions(8, 2).shape == (1, 8, 2, 8)
    nn.init.constant_(encoder.pos_embed, 3.0)
    assert torch.allclose(encoder._positions(9, 5), torch.tensor(3.0))


def test_set_image_size(small, kind):
    sam = small(kind)
    stride = sam.config.stride
    for size in (6 * 32, 2 * 32):
        sam.set_image_size(size)
        assert sam.image_encoder.img_size == size
        assert sam.prompt_encoder.input_image_size == (size, size)
        assert sam.prompt_encoder.mask_input_size == (4 * size // stride,) * 2
        record = {
            "image": torch.rand(3, size, size // 2) * 255,
            "original_size": (50, 25),
            "point_coords": torch.tensor([[[5.0, 5.0]]]),
            "point_labels": torch.ones(1, 1),
        }
        with torch.inference_mode():
            output = sam([record], multimask_output=False)[0]
        assert output["low_res_logits"].shape == (1, 1, 4 * size // stride, 4 * size // stride)
        assert output["masks"].shape == (1, 1, 50, 25)


@pytest.mark.parametrize("size", [0, -8, 9, 12])
def test_set_image_size_refuses_what_is_no_multiple_of_the_stride(small, size):
    sam = small("vit")
    with pytest.raises(ValueError, match="multiple of 8"):
        sam.set_image_size(size)
    assert sam.image_encoder.img_size == 64


def test_preprocess_normalises_and_pads_right_and_bottom(small, kind):
    sam = small(kind)
    size = sam.image_encoder.img_size
    image = torch.randint(0, 256, (3, size - 10, size)).float()
    ready = sam.preprocess(image)
    assert ready.shape == (3, size, size)
    assert (ready[:, -10:] == 0).all()
    back = ready[:, :-10] * sam.pixel_std + sam.pixel_mean
    assert (back - image).abs().max() < 1e-3


def test_postprocess_takes_the_padding_off_before_it_enlarges(small):
    sam = small("vit")
    low = torch.full((1, 2, 32, 32), -1.0)
    low[:, :, :16] = 1.0  # the image's own half
    masks = sam.postprocess_masks(low, (30, 64), (15, 33))
    assert masks.shape == (1, 2, 15, 33)
    assert (masks > 0).all()
