"""Sizes read off shapes: for every model of the published architecture they are the right ones."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.checkpoints.assemble import skeleton
from samkit.checkpoints.sizes import config_of_shapes, shapes_of, variant_of
from samkit.errors import CheckpointError
from samkit.modeling import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    SamConfig,
    ViTConfig,
)


@st.composite
def configs(draw: st.DrawFn) -> SamConfig:
    """Models of the published architecture, of sizes that nobody published."""
    grid, patch = draw(st.integers(2, 9)), draw(st.sampled_from([8, 14, 16]))
    depth = draw(st.integers(1, 4))
    heads, head_dim = draw(st.sampled_from([(1, 8), (2, 4), (4, 8), (3, 10)]))
    windows = st.integers(1, 12).filter(lambda size: size != grid)
    blocks = st.sets(st.integers(0, depth - 1), max_size=depth - 1)
    dim = draw(st.sampled_from([16, 32]))
    return SamConfig(
        ViTConfig(
            img_size=grid * patch,
            patch_size=patch,
            embed_dim=heads * head_dim,
            depth=depth,
            num_heads=heads,
            mlp_ratio=draw(st.sampled_from([1.0, 2.0, 4.0])),
            out_chans=dim,
            qkv_bias=draw(st.booleans()),
            window_size=draw(windows),
            global_attn_indexes=tuple(sorted(draw(blocks))),
        ),
        PromptEncoderConfig(dim, draw(st.sampled_from([4, 8, 16]))),
        MaskDecoderConfig(
            transformer_depth=draw(st.integers(1, 3)),
            mlp_dim=draw(st.integers(1, 40)),
            attention_downsample_rate=draw(st.sampled_from([1, 2])),
            num_multimask_outputs=draw(st.integers(1, 4)),
            iou_head_depth=draw(st.integers(2, 5)),
            iou_head_hidden_dim=draw(st.integers(1, 40)),
        ),
    )


@settings(max_examples=40)
@given(configs())
def test_shapes_tell_the_configuration(config: SamConfig) -> None:
    shapes = shapes_of(skeleton(config, "it", 1000).state_dict())

    assert config_of_shapes("it", shapes) == config


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_published_models_are_known_by_their_shapes(name: str) -> None:
    shapes = shapes_of(skeleton(VARIANTS[name], "it", 1000).state_dict())

    assert config_of_shapes("it", shapes) == VARIANTS[name]
    assert config_of_shapes("it", shapes).variant == name


def test_what_acts_in_training_only_does_not_change_the_variant() -> None:
    vit_l = VARIANTS["vit_l"]
    trained = replace(
        vit_l,
        image_encoder=replace(vit_l.image_encoder, drop_path=0.4),
        mask_decoder=replace(vit_l.mask_decoder, dropout=0.1),
        variant="mine",
    )

    assert variant_of(trained) == "vit_l"
    assert variant_of(replace(vit_l, pixel_mean=(0.0, 0.0, 0.0))) == ""


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("image_encoder.pos_embed", (1, 4, 5, 32), "4 x 5 where a square"),
        ("image_encoder.pos_embed", (16, 32), "do not make"),
        ("image_encoder.blocks.0.attn.rel_pos_h", (9, 16), "windows of several sizes, .3, 5."),
        ("image_encoder.blocks.0.attn.rel_pos_h", (5, 0), "do not make"),
        ("mask_decoder.mask_tokens.weight", (), "do not make"),
    ],
)
def test_shapes_that_make_no_model_are_refused(
    name: str, shape: tuple[int, ...], words: str, tiny
) -> None:
    shapes = {**shapes_of(tiny.state_dict()), name: shape}

    with pytest.raises(CheckpointError, match=words):
        config_of_shapes("it", shapes)


def test_without_relative_positions_heads_cannot_be_read_and_the_sentence_says_so(tiny) -> None:
    shapes = {k: v for k, v in shapes_of(tiny.state_dict()).items() if "rel_pos" not in k}

    with pytest.raises(CheckpointError, match="no relative positions"):
        config_of_shapes("it", shapes)
