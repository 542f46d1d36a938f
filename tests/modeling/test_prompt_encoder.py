"""Prompts as tokens and as maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samkit.modeling import PromptEncoder, PromptEncoderConfig

GRID, STRIDE = (6, 5), 8


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return PromptEncoder(PromptEncoderConfig(embed_dim=16, mask_in_chans=8), GRID, STRIDE)


@pytest.fixture
def drawing():
    torch.manual_seed(0)
    config = PromptEncoderConfig(embed_dim=16, mask_in_chans=8, prompt_maps=True)
    return PromptEncoder(config, GRID, STRIDE)


def points(*rows):
    """(x, y, label) triples of one prompt."""
    table = torch.tensor([rows], dtype=torch.float32)
    return table[..., :2], table[..., 2].long()


def test_tokens_of_points_boxes_and_their_padding(encoder):
    box = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    click = points((3, 4, 1))
    assert encoder(points=click)[0].shape == (1, 2, 16)  # and one padding token
    assert encoder(points=click, boxes=box)[0].shape == (1, 3, 16)  # none with a box
    assert encoder(boxes=box)[0].shape == (1, 2, 16)
    assert encoder(masks=torch.zeros(2, 1, 24, 20))[0].shape == (2, 0, 16)
    assert torch.equal(encoder(points=click)[0][0, 1], encoder.not_a_point_embed.weight[0])


def test_a_box_is_two_labelled_corners(encoder):
    box = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    corners = points((1, 2, 2), (30, 40, 3))
    assert torch.allclose(encoder(boxes=box)[0], encoder(points=corners)[0][:, :2], atol=1e-6)


def test_padding_points_say_nothing_about_their_place(encoder):
    a = encoder(points=points((3, 4, 1), (9, 9, -1)))[0]
    b = encoder(points=points((3, 4, 1), (0, 7, -1)))[0]
    assert torch.equal(a, b)
    assert torch.equal(a[0, 1], encoder.not_a_point_embed.weight[0])


@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_every_label_adds_its_own_embedding(encoder, label):
    token = encoder(points=points((3, 4, label)))[0][0, 0]
    place = encoder.pe_layer.forward_with_coords(torch.tensor([[3.5, 4.5]]), (48, 40))[0]
    assert torch.allclose(token, place + encoder.point_embeddings[label].weight[0], atol=1e-6)


def test_without_a_mask_the_dense_map_is_one_vector_everywhere(encoder):
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0], [3.0, 4.0, 9.0, 9.0]])
    _, dense = encoder(boxes=boxes)
    assert dense.shape == (2, 16, *GRID)
    assert dense.stride(0) == dense.stride(2) == dense.stride(3) == 0
    assert torch.equal(dense[1, :, 2, 3], encoder.no_mask_embed.weight[0])


def test_dense_positions_are_those_of_points_in_the_middle_of_cells(encoder):
    pe = encoder.get_dense_pe()
    assert pe.shape == (1, 16, *GRID)
    middle = torch.tensor([[3 * STRIDE + STRIDE / 2, 4 * STRIDE + STRIDE / 2]])
    token = encoder.pe_layer.forward_with_coords(middle, encoder.input_image_size)
    assert torch.allclose(pe[0, :, 4, 3], token[0], atol=1e-5)


def test_maps_show_clicks_where_they_are(drawing):
    drawn = drawing.draw(points((10, 20, 1), (30, 8, 0)), None, 1, (0, 0, *GRID))
    assert drawn.shape == (1, 3, 24, 20)
    assert divmod(drawn[0, 0].argmax().item(), 20) == (10, 5)  # (y, x), two pixels a map cell
    assert divmod(drawn[0, 1].argmax().item(), 20) == (4, 15)
    assert drawn[0, 0].max() > 0.99 and drawn[0, 2].abs().max() == 0


@settings(max_examples=30)
@given(st.floats(0, 40), st.floats(0, 48), st.floats(0, 40), st.floats(0, 48))
def test_a_box_is_drawn_with_its_exact_area(x0, y0, x1, y1):
    config = PromptEncoderConfig(embed_dim=16, mask_in_chans=8, prompt_maps=True)
    drawing = PromptEncoder(config, GRID, STRIDE)
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    drawn = drawing.draw(None, torch.tensor([[x0, y0, x1, y1]]), 1, (0, 0, *GRID))
    inside = [max(0, min(high, end - 0.5) - max(low, -0.5)) for low, high, end in
              ((x0, x1, 40), (y0, y1, 48))]  # fmt: skip
    assert drawn[0, 2].sum().item() * 4 == pytest.approx(inside[0] * inside[1], abs=0.1)


def test_a_box_and_its_corners_are_drawn_alike(drawing):
    box = torch.tensor([[5.0, 6.0, 30.0, 40.0]])
    corners = points((5, 6, 2), (30, 40, 3), (2, 2, -1))
    whole = (0, 0, *GRID)
    assert torch.equal(drawing.draw(None, box, 1, whole), drawing.draw(corners, None, 1, whole))


def test_padding_points_are_not_drawn(drawing):
    drawn = drawing.draw(points((10, 20, -1)), None, 1, (0, 0, *GRID))
    assert drawn.abs().max() == 0


def test_clicks_of_one_row_are_drawn_like_those_of_many(drawing):
    coords, labels = points((10, 20, 1), (12, 22, 1), (30, 8, 0), (5, 6, 2), (30, 40, 3))
    whole = (0, 0, *GRID)
    one = drawing.draw((coords, labels), None, 1, whole)
    two = drawing.draw((coords.expand(2, -1, -1), labels.expand(2, -1)), None, 2, whole)
    assert torch.equal(one.expand(2, -1, -1, -1), two)
    assert drawing.draw((coords[:, :0], labels[:, :0]), None, 1, whole).abs().max() == 0


def test_prompt_maps_change_the_dense_map_near_the_click_only(drawing):
    with torch.inference_mode():
        _, none = drawing(points=points((0, 0, -1)))
        _, one = drawing(points=points((4, 4, 1)))
    moved = (one - none).abs().amax(1)[0]
    assert moved[0, 0] > 0.01
    assert moved[-1, -1] < 1e-4


@pytest.mark.parametrize("window", [(0, 0, 6, 5), (1, 2, 3, 3), (5, 4, 1, 1)])
def test_a_window_is_a_part_of_the_whole_map(drawing, window):
    top, left, h, w = window
    masks = torch.randn(1, 1, 24, 20)
    part = masks[..., 4 * top : 4 * (top + h), 4 * left : 4 * (left + w)]
    given = {"points": points((12, 20, 1), (30, 8, 0)), "boxes": torch.tensor([[3.0, 4, 30, 31]])}
    sparse, whole = drawing(**given, masks=masks)
    same, seen = drawing(**given, masks=part, window=window)
    assert torch.equal(sparse, same)
    assert torch.allclose(seen, whole[..., top : top + h, left : left + w], atol=1e-6)
