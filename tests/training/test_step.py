"""Which of the three candidates learn from a prompt."""

from dataclasses import replace

import numpy as np
import pytest

from samkit.training.loader import CropLoader
from samkit.training.photographs import Photographs
from samkit.training.recipes import Recipe, View
from samkit.training.step import PromptableStep


@pytest.mark.parametrize(("box_chance", "learning"), [(0.0, 1), (1.0, 3)])
def test_the_best_candidate_learns_from_a_point_and_all_from_a_box_where_the_recipe_says_so(
    photographs: Photographs, recipe: Recipe, tiny, box_chance: float, learning: int
) -> None:
    recipe = replace(
        recipe,
        views=(View("whole", 1),),
        box_chance=box_chance,
        rounds=(1.0,),
        others=0.0,
        others_box=0.3,
    )
    sam = tiny()
    crop = CropLoader(photographs, recipe, 128, whole_input=False).crop(0, 0)
    PromptableStep(sam, recipe).backward([crop], [np.random.default_rng(1)], batch=1)
    candidates = list(sam.mask_decoder.output_hypernetworks_mlps)[1:]
    last = [mlp.layers[-1].weight.grad for mlp in candidates]
    assert sum(grad is not None and bool(grad.any()) for grad in last) == learning
