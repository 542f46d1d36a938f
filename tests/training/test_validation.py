"""Scores on the images kept aside leave the model as it was."""

from collections.abc import Callable
from pathlib import Path

import torch

from samkit.datasets.store import StoreReader
from samkit.modeling import Sam
from samkit.training.photographs import Photographs
from samkit.training.validation import MEASURES, choice, validate


def test_the_given_weights_are_scored_and_the_model_keeps_its_own(
    tiny: Callable[[], Sam], store: Path
) -> None:
    photographs = Photographs([("store", StoreReader(store))], held_out=0.3)
    sam, other = tiny(), tiny()
    with torch.no_grad():
        for mlp in other.mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight.zero_()
            mlp.layers[-1].bias.zero_()  # logits are zero: every mask is empty
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    empty = validate(sam, other.state_dict(), photographs)
    assert empty == dict.fromkeys(MEASURES, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in sam.state_dict().items())
    own = validate(sam, before, photographs)
    assert choice(own) > 0
