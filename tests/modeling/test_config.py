"""Model configurations go to JSON and back; hostile ones are refused in one sentence."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.errors import CheckpointError
from samkit.modeling import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    SamConfig,
    ViTConfig,
)


def through_json(config: SamConfig) -> SamConfig:
    return SamConfig.from_dict(json.loads(json.dumps(config.to_dict())))


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_survives_json(name):
    assert through_json(VARIANTS[name]) == VARIANTS[name]


@settings(max_examples=50)
@given(
    grid=st.integers(1, 32),
    patch=st.sampled_from([8, 14, 16]),
    heads=st.integers(1, 8),
    indexes=st.lists(st.integers(0, 12), max_size=5),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    multimask=st.integers(1, 6),
    maps=st.booleans(),
)
def test_any_configuration_survives_json(grid, patch, heads, indexes, rates, multimask, maps):
    config = SamConfig(
        ViTConfig(
            img_size=grid * patch,
            patch_size=patch,
            embed_dim=heads * 8,
            num_heads=heads,
            global_attn_indexes=tuple(indexes),
            drop_path=rates[0],
        ),
        PromptEncoderConfig(prompt_maps=maps),
        MaskDecoderConfig(num_multimask_outputs=multimask, dropout=rates[1]),
    )
    assert through_json(config) == config


def test_stride_is_known_from_the_configuration():
    assert VARIANTS["vit_b"].stride == 16
    assert VARIANTS["default"].stride == 8
    assert SamConfig(ViTConfig(patch_size=8)).stride == 8


def changed(part, **values):
    config = VARIANTS["vit_b"].to_dict()
    (config[part] if part else config).update(values)
    return config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (None, "image encoder"),
        ([], "image encoder"),
        ({}, "image encoder"),
        ({"image_encoder": "vit"}, "image encoder"),
        (changed("image_encoder", kind="resnet"), "resnet"),
        (changed("image_encoder", kind=["vit"]), "vit"),
        (changed("image_encoder", kind=None), "None"),
        (changed("image_encoder", colour=3), "colour"),
        (changed(None, extra={}), "extra"),
        (changed(None, prompt_encoder=[1]), "PromptEncoderConfig"),
        (changed("image_encoder", depth="12"), "depth"),
        (changed("image_encoder", depth=12.5), "depth"),
        (changed("image_encoder", depth=True), "depth"),
        (changed("image_encoder", depth=10**9), "depth"),
        (changed("image_encoder", img_size=-1024), "img_size"),
        (changed("image_encoder", img_size=10**12), "img_size"),
        (changed("image_encoder", mlp_ratio=float("nan")), "mlp_ratio"),
        (changed("image_encoder", mlp_ratio=float("inf")), "mlp_ratio"),
        (changed("image_encoder", global_attn_indexes=3), "global_attn_indexes"),
        (changed("image_encoder", global_attn_indexes=["a"]), "global_attn_indexes"),
        (changed("image_encoder", global_attn_indexes=list(range(1000))), "global_attn_indexes"),
        (changed("image_encoder", qkv_bias=1), "qkv_bias"),
        (changed("image_encoder", embed_dim=None), "embed_dim"),
        (changed("mask_decoder", num_multimask_outputs=10**7), "num_multimask_outputs"),
        (changed("mask_decoder", dropout={}), "dropout"),
        (changed("mask_decoder", upscaling_activation="tanh"), "upscaling_activation"),
        (changed("mask_decoder", upscaling_activation=["relu"]), "upscaling_activation"),
        (changed(None, pixel_mean=[1.0, 2.0, "3"]), "pixel_mean"),
        (changed(None, variant=7), "variant"),
    ],
)
def test_hostile_configurations_are_refused(values, named):
    with pytest.raises(CheckpointError, match=named) as error:
        SamConfig.from_dict(values)
    assert str(error.value).count("\n") == 0


@settings(max_examples=200)
@given(
    st.sampled_from(["image_encoder", "prompt_encoder", "mask_decoder"]),
    st.data(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
)
def test_odd_values_are_refused_or_kept_but_never_crash(part, data, value):
    config = VARIANTS["default"].to_dict()
    config[part][data.draw(st.sampled_from(sorted(config[part])))] = value
    try:
        made = SamConfig.from_dict(config)
    except CheckpointError:
        return
    assert through_json(made) == made


def test_defaults_are_filled_in():
    config = SamConfig.from_dict({"image_encoder": {"kind": "pyramid"}})
    assert config == SamConfig(PyramidConfig())
