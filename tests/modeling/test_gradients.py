"""The whole model learns: nothing in it switches gradients off."""

import ast
from pathlib import Path

import pytest
import torch

import samkit.modeling

FORBIDDEN = {"no_grad", "inference_mode", "set_grad_enabled", "detach", "detach_", "requires_grad_"}


def prompts(sam):
    """Prompts that together use every embedding: all labels, a box, a mask, none of them."""
    size = sam.image_encoder.img_size
    coords = torch.rand(2, 4, 2) * size
    labels = torch.tensor([[1, 0, 1, -1], [2, 3, 1, 0]])
    boxes = torch.tensor([[8.0, 8.0, 40.0, 50.0], [4.0, 20.0, 60.0, 44.0]])
    masks = torch.randn(2, 1, *sam.prompt_encoder.mask_input_size)
    yield {"points": (coords, labels)}
    yield {"boxes": boxes, "masks": masks}
    yield {"points": (coords, labels), "boxes": boxes, "masks": masks}


def run(sam, images):
    """Sums everything that the model answers, weighted at random."""
    embedding, fine = sam.encode(images)
    pe = sam.prompt_encoder.get_dense_pe()
    total = torch.zeros(())
    for prompt in prompts(sam):
        for multimask in (True, False):
            sparse, dense = sam.prompt_encoder(**prompt)
            low, iou = sam.mask_decoder(embedding, pe, sparse, dense, multimask, fine)
            total = (
                total + (low * torch.randn_like(low)).sum() + (iou * torch.randn_like(iou)).sum()
            )
    return total


def test_every_parameter_receives_a_gradient(small, kind):
    sam = small(kind).train()
    size = sam.image_encoder.img_size
    run(sam, torch.randn(1, 3, size, size)).backward()
    without = [
        name
        for name, parameter in sam.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert without == []


def test_the_image_receives_a_gradient(small, kind):
    sam = small(kind)
    size = sam.image_encoder.img_size
    images = torch.randn(1, 3, size, size, requires_grad=True)
    run(sam, images).backward()
    assert images.grad.abs().max() > 0


def test_forward_is_differentiable(small, kind):
    sam = small(kind)
    size = sam.image_encoder.img_size
    record = {
        "image": torch.rand(3, size, size // 2) * 255,
        "original_size": (2 * size, size),
        "boxes": torch.tensor([[2.0, 3.0, 20.0, 30.0]]),
    }
    output = sam([record], multimask_output=True)[0]
    assert output["masks"].dtype == torch.bool
    assert tuple(output["masks"].shape) == (1, 3, 2 * size, size)
    (output["low_res_logits"].sum() + output["iou_predictions"].sum()).backward()
    assert sam.image_encoder.neck[0].weight.grad.abs().max() > 0


def test_gradients_are_the_true_ones(small):
    """Finite differences through the encoder, position tables included."""
    encoder = small("vit").double().image_encoder
    images = torch.randn(1, 3, 24, 16, dtype=torch.float64)
    weights = torch.randn(1, 32, 3, 2, dtype=torch.float64)
    names = ["rel_pos_h", "qkv.bias"]
    loss = (encoder(images) * weights).sum()
    loss.backward()
    for block in encoder.blocks:
        for name in names:
            parameter = block.attn.get_parameter(name)
            at = parameter.grad.abs().flatten().argmax()
            step = 1e-5
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[at] += sign * step
                    values.append((encoder(images) * weights).sum())
                    parameter.view(-1)[at] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert slope.item() == pytest.approx(parameter.grad.view(-1)[at].item(), rel=1e-4)


@pytest.mark.parametrize("path", sorted(Path(samkit.modeling.__file__).parent.glob("*.py")))
def test_no_file_switches_gradients_off(path):
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Attribute, ast.Name))
    }
    assert not used & FORBIDDEN
