"""Scores on the images kept aside leave the model as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from samkit.datasets.store import StoreReader
from samkit.modeling import Sam
from samkit.training.distributed import World
from samkit.training.photographs import Photographs
from samkit.training.validation import MEASURES, choice, validate

T = TypeVar("T")


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


class Apart(World):
    """One of two processes, told beforehand what the other has found."""

    def __init__(self, rank: int, others: list[Any]) -> None:
        super().__init__(rank, 2)
        self.others = others
        self.own: Any = None

    def everyone(self, own: T) -> list[T]:
        self.own = own
        return [*self.others, own]


def test_processes_share_the_images_and_tell_each_other(
    tiny: Callable[[], Sam], store: Path
) -> None:
    photographs = Photographs([("store", StoreReader(store))], held_out=0.3)
    assert len(photographs.kept_aside) > 1
    sam = tiny()
    weights = {name: value.clone() for name, value in sam.state_dict().items()}
    alone = validate(sam, weights, photographs)
    first = Apart(0, [])
    half = validate(sam, weights, photographs, world=first)
    second = Apart(1, [first.own])
    assert validate(sam, weights, photographs, world=second) == pytest.approx(alone, rel=1e-12)
    assert half != alone
    masks = [len(apart.own["c1"]) for apart in (first, second)]
    assert min(masks) > 0
