"""The module that becomes the graph gives what the model gives, in its own order of products."""

import pytest
import torch
from torch import Tensor

from samkit.export.decoder import PromptedDecoder
from samkit.modeling import (
    MaskDecoderConfig,
    PromptEncoderConfig,
    PyramidConfig,
    Sam,
    SamConfig,
    ViTConfig,
)

CONFIGS = {
    "published": SamConfig(
        ViTConfig(img_size=96, embed_dim=16, depth=1, num_heads=1, out_chans=32),
        PromptEncoderConfig(embed_dim=32),
        MaskDecoderConfig(num_heads=4, mlp_dim=32, iou_head_hidden_dim=16),
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


@pytest.fixture(params=sorted(CONFIGS))
def sam(request) -> Sam:
    torch.manual_seed(0)
    sam = Sam(CONFIGS[request.param]).eval().requires_grad_(False)
    for name, parameter in sam.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return sam


@pytest.fixture
def embedding(sam: Sam) -> tuple[Tensor, dict[str, Tensor]]:
    size = sam.image_encoder.img_size
    return sam.encode(torch.randn(1, 3, size, size))


POINTS = torch.tensor([[[12.0, 30.5], [50, 8]]]), torch.tensor([[1.0, 0.0]])
PADDED = torch.tensor([[[12.0, 30.5], [50, 8], [0, 0]]]), torch.tensor([[1.0, 0.0, -1.0]])
CORNERS = torch.tensor([[[5.0, 6.5], [40, 33]]]), torch.tensor([[2.0, 3.0]])
BOTH = torch.cat([POINTS[0], CORNERS[0]], 1), torch.cat([POINTS[1], CORNERS[1]], 1)
NONE = torch.zeros(1, 0, 2), torch.zeros(1, 0)
BOX = CORNERS[0].reshape(1, 4)


@pytest.mark.parametrize("masked", [False, True], ids=["without a mask", "with a mask"])
@pytest.mark.parametrize(
    ("given", "points", "boxes"),
    [(PADDED, POINTS, None), (CORNERS, None, BOX), (BOTH, POINTS, BOX), (NONE, None, None)],
    ids=["points", "box", "box and points", "no point"],
)
def test_it_answers_as_the_model(sam: Sam, embedding, given, points, boxes, masked: bool) -> None:
    features, fine = embedding
    side = sam.prompt_encoder.mask_input_size[0]
    mask = 5 * torch.randn(1, 1, side, side)
    sparse, dense = sam.prompt_encoder(points, boxes, mask if masked else None)
    pe = sam.prompt_encoder.get_dense_pe()
    state = sam.mask_decoder.run_transformer(features, pe, sparse, dense)
    expected = sam.mask_decoder.masks(state, fine=fine)
    logits, iou = PromptedDecoder(sam)(features, fine, *given, mask, torch.tensor([float(masked)]))
    assert torch.allclose(logits, expected, atol=1e-5 * expected.abs().max().item())
    assert torch.allclose(iou, state.iou, atol=1e-5)


def test_the_model_is_left_as_it_is(sam: Sam) -> None:
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    half = sam.bfloat16()
    decoder = PromptedDecoder(half)
    assert {value.dtype for value in decoder.parameters()} == {torch.float32}
    assert sam.dtype == torch.bfloat16
    assert before.keys() == sam.state_dict().keys()
    assert type(sam.mask_decoder.transformer.final_attn_token_to_image).__name__ == "Attention"
