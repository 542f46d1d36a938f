"""Masks that begin with a box and masks that begin with a click go through the model together."""

import numpy as np
import torch

from samkit.training.rounds import CropPlace, Prompts


def test_each_mask_has_the_tokens_and_maps_that_it_would_have_alone(tiny) -> None:
    sam = tiny()
    rng = np.random.default_rng(0)
    embedding = torch.zeros(1, sam.prompt_encoder.embed_dim, 8, 8)
    place = CropPlace.draw(sam, embedding, rng)
    x, y = place.corner
    shift = torch.tensor([x, y])
    click, box = [20.0, 31.0], [5.0, 8.0, 40.0, 50.0]
    given = Prompts.first([np.float32(click), np.float32(box)], sam.device)
    assert given.by_box.tolist() == [False, True]
    added = torch.tensor([[3.0, 4.0], [9.0, 2.0]]), torch.tensor([0, 1])
    for rounds in range(2):
        if rounds:
            given = given.with_points(*added, scale=2.0)
            given = given.with_previous(torch.randn(2, 32, 32))
        sparse, dense = given.encode(sam, place)
        for row, first in enumerate((click, box)):
            points, labels, boxes = torch.empty(1, 0, 2), torch.empty(1, 0).long(), None
            if len(first) == 2:
                points, labels = torch.tensor([[first]]) + shift, torch.tensor([[1]])
            else:
                boxes = torch.tensor([first]) + shift.repeat(2)
            if rounds:
                more = (added[0][row] + 0.5) * 2 - 0.5 + shift
                points = torch.cat([points, more.reshape(1, 1, 2)], dim=1)
                labels = torch.cat([labels, added[1][row].reshape(1, 1)], dim=1)
            alone, map_alone = sam.prompt_encoder(
                points=(points, labels) if points.shape[1] else None,
                boxes=boxes,
                masks=None if given.previous is None else given.previous[row : row + 1],
                window=(place.top, place.left, 8, 8),
            )
            assert sparse[row].shape == alone[0].shape
            for token in alone[0]:  # in another order, which no attention sees
                assert (sparse[row] - token).abs().amax(1).min() < 1e-6
            assert torch.allclose(dense[row], map_alone[0], atol=1e-4)
