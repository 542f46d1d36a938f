"""Small models of both kinds, with weights that make every part matter."""

import pytest
import torch

from samkit.modeling import (
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    Sam,
    SamConfig,
    ViTConfig,
)

SMALL_DECODER = MaskDecoderConfig(num_heads=4, mlp_dim=32, iou_head_hidden_dim=16)

SMALL = {
    "vit": SamConfig(
        ViTConfig(
            img_size=64,
            patch_size=8,
            embed_dim=16,
            depth=2,
            num_heads=2,
            window_size=3,
            global_attn_indexes=(1,),
            out_chans=32,
        ),
        PromptEncoderConfig(embed_dim=32, mask_in_chans=16),
        SMALL_DECODER,
    ),
    "default": SamConfig(
        PyramidConfig(
            img_size=64,
            stem_chans=8,
            stage_chans=(4, 6, 8, 8, 12, 16, 16),
            stage_depths=(1, 1, 1, 1, 1, 1, 1),
            out_chans=32,
        ),
        PromptEncoderConfig(embed_dim=32, mask_in_chans=16, prompt_maps=True),
        MaskDecoderConfig(num_heads=4, mlp_dim=32, iou_head_hidden_dim=16, mixer_depth=2),
    ),
}


@pytest.fixture(params=sorted(SMALL))
def kind(request) -> str:
    """`vit` or `default`."""
    return request.param


@pytest.fixture
def small():
    """Builds the small model of a kind, seeded, in eval mode."""

    def build(kind: str) -> Sam:
        torch.manual_seed(0)
        sam = Sam(SMALL[kind]).eval()
        for name, parameter in sam.named_parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
            elif name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
        return sam

    return build
