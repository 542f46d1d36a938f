"""The graph gives what the model gives, in its own order of products, wherever a prompt lies."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from samkit.export.tracing import HIGHEST_OPSET, LOWEST_OPSET
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
            img_size=256,  # 32 x 32 cells: a click's window is a part of them
            stem_chans=8,
            stage_chans=(4, 6, 8, 8, 12, 16, 16),
            stage_depths=(1, 1, 1, 1, 1, 1, 1),
            out_chans=32,
        ),
        PromptEncoderConfig(embed_dim=32, mask_in_chans=16, prompt_maps=True),
        MaskDecoderConfig(
            num_heads=4,
            mlp_dim=32,
            iou_head_hidden_dim=16,
            mixer_depth=2,
            upscaling_activation="relu",
        ),
    ),
}


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def sam(request) -> Sam:
    torch.manual_seed(0)
    sam = Sam(CONFIGS[request.param]).eval().requires_grad_(False)
    for name, parameter in sam.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return sam


@pytest.fixture(scope="module")
def embedding(sam: Sam) -> tuple[Tensor, dict[str, Tensor]]:
    size = sam.image_encoder.img_size
    return sam.encode(torch.randn(1, 3, size, size))


@pytest.fixture(scope="module")
def answer(sam: Sam):
    """Answers of the graph that prompted_decoder makes of the model."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (samkit[onnx])")
    pytest.importorskip("onnx", reason="needs onnx (samkit[onnx])")
    from samkit.export.decoder import prompted_decoder

    @functools.cache
    def session_of(opset: int):
        content = prompted_decoder(sam, opset).SerializeToString()
        return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(
        features, fine, coords, labels, mask, has_mask: bool, opset: int = 20, best: bool = False
    ):
        session = session_of(opset)
        tensors = {"image_embeddings": features, **fine, "point_coords": coords}
        tensors |= {"point_labels": labels, "mask_input": mask}
        feeds = {name: tensor.numpy() for name, tensor in tensors.items()}
        feeds["has_mask_input"] = np.array([has_mask], np.float32)
        feeds["best_only"] = np.array([best], np.float32)
        return [torch.from_numpy(value) for value in session.run(None, feeds)]

    return run


def expected(sam: Sam, embedding, points, boxes, mask) -> tuple[Tensor, Tensor]:
    features, fine = embedding
    sparse, dense = sam.prompt_encoder(points, boxes, mask)
    pe = sam.prompt_encoder.get_dense_pe()
    state = sam.mask_decoder.run_transformer(features, pe, sparse, dense)
    return sam.mask_decoder.masks(state, fine=fine), state.iou


def assert_same(found, wanted) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5 * max(1, theirs.abs().max().item()))


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
def test_it_answers_as_the_model(
    sam: Sam, embedding, answer, given, points, boxes, masked: bool
) -> None:
    side = sam.prompt_encoder.mask_input_size[0]
    mask = 5 * torch.randn(1, 1, side, side)
    wanted = expected(sam, embedding, points, boxes, mask if masked else None)
    assert_same(answer(*embedding, *given, mask, masked), wanted)


@pytest.mark.parametrize(
    ("x", "y"),
    [(0, 0), (95, 95), (128.5, 100), (255, 3.5), (90, 250), (-40, 120), (600, -600)],
)
@pytest.mark.parametrize("label", [0, 1])
def test_a_click_anywhere_is_answered_as_by_the_model(
    sam: Sam, embedding, answer, x: float, y: float, label: int
) -> None:
    point = torch.tensor([[[x, y]]], dtype=torch.float32), torch.tensor([[float(label)]])
    padded = torch.cat([point[0], torch.zeros(1, 1, 2)], 1), torch.tensor([[label, -1.0]])
    side = sam.prompt_encoder.mask_input_size[0]
    wanted = expected(sam, embedding, point, None, None)
    assert_same(answer(*embedding, *padded, torch.ones(1, 1, side, side), False), wanted)


def test_the_best_candidate_comes_alone_where_asked_for(sam: Sam, embedding, answer) -> None:
    side = sam.prompt_encoder.mask_input_size[0]
    mask, best = torch.zeros(1, 1, side, side), set()
    for x in range(8, 256, 48):
        point = torch.tensor([[[float(x), 255.0 - x], [0, 0]]]), torch.tensor([[1.0, -1.0]])
        low, iou = answer(*embedding, *point, mask, False)
        alone, same = answer(*embedding, *point, mask, False, best=True)
        token = 1 + int(iou[0, 1:].argmax())
        assert alone.shape == (1, 1, side, side) and torch.equal(iou, same)
        assert_same([alone], [low[:, token : token + 1]])
        best.add(token)
    assert len(best) > 1 or sam.prompt_encoder.prompt_maps


@pytest.mark.parametrize("opset", [LOWEST_OPSET, HIGHEST_OPSET])
def test_the_answer_is_the_same_in_other_opsets(sam: Sam, embedding, answer, opset: int) -> None:
    side = sam.prompt_encoder.mask_input_size[0]
    wanted = expected(sam, embedding, POINTS, None, None)
    assert_same(answer(*embedding, *PADDED, torch.zeros(1, 1, side, side), False, opset), wanted)


def test_the_model_is_left_as_it_is(sam: Sam) -> None:
    pytest.importorskip("onnx", reason="needs onnx (samkit[onnx])")
    from samkit.export.decoder import prompted_decoder

    half = copy.deepcopy(sam).bfloat16()
    before = {name: value.clone() for name, value in half.state_dict().items()}
    graph = prompted_decoder(half, 20).graph
    assert {weight.data_type for weight in graph.initializer} <= {1, 7}  # float32, int64
    assert all(torch.equal(value, before[name]) for name, value in half.state_dict().items())
    assert half.dtype == torch.bfloat16
