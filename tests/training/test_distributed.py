"""Two processes train as one would."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samkit.errors import UsageError
from samkit.training.distributed import World
from samkit.training.state import load_state

CODE = """
import sys; sys.path.insert(0, {here!r})
import torch
from conftest import TINY
from dataclasses import replace
from pathlib import Path
from samkit.datasets.store import StoreReader
from samkit.modeling import Sam
from samkit.training.distributed import World
from samkit.training.loop import Trainer
from samkit.training.photographs import Photographs
from samkit.training.recipes import RECIPES
from samkit.training.starting import regularise
torch.set_num_threads(1)
torch.manual_seed(0)
sam = Sam(TINY).train()
regularise(sam, 0.0, 0.0)
recipe = replace(RECIPES["debug"], steps=3, batch=4, warmup=2, cooldown=0.3, crop_scale=(0.8, 1.1))
recipe = replace(recipe, validate_every=3)
world = World.join(torch.device("cpu"))
photos = Photographs([("store", StoreReader(Path({store!r})))], held_out=0.3)
losses = []
trainer = Trainer(sam, photos, recipe, Path({out!r}), world=world)
trainer.run(report=lambda step, seen: losses.append(seen["loss"]))
if world.is_first:
    seen = {{"losses": losses, "best": trainer.best, "weights": sam.state_dict()}}
    torch.save(seen, {out!r} + "/seen.pt")
world.leave()
"""


@pytest.fixture
def train(store: Path, tmp_path: Path, forked: Any) -> Callable[[int], dict[str, Any]]:
    """Trains with so many processes, with the environment that torchrun gives to each."""

    def run(processes: int) -> dict[str, Any]:
        out = tmp_path / str(processes)
        out.mkdir()
        code = CODE.format(here=str(Path(__file__).parent), store=str(store), out=str(out))
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        worlds = [
            {"RANK": str(rank), "WORLD_SIZE": str(processes), **address}
            for rank in range(processes)
        ]
        started = [forked(code, **world) for world in worlds if processes > 1] or [forked(code)]
        for process in started:
            _, errors = process.communicate()
            assert process.poll() == 0, errors
        return torch.load(out / "seen.pt", weights_only=True)

    return run


def test_two_processes_give_one_process_s_losses_and_weights(
    train: Callable[[int], dict[str, Any]], tmp_path: Path
) -> None:
    one, two = train(1), train(2)
    assert len(one["losses"]) == 3
    assert one["losses"] == pytest.approx(two["losses"], abs=1e-5)
    assert one["best"]["step"] == 3 and one["best"]["box"] > 0
    assert one["best"] == pytest.approx(two["best"], abs=1e-3)
    for name, value in one["weights"].items():
        if name.endswith("k_proj.bias"):
            continue  # attention does not depend on it, so its gradient is rounding alone
        assert torch.allclose(value, two["weights"][name], atol=1e-5), name
    assert load_state(tmp_path / "2")["step"] == 3


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert list(World(1, 2).share(6)) == [3, 4, 5]
    with pytest.raises(UsageError, match="cannot be shared evenly by 2 processes"):
        World(0, 2).share(3)
