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


def test_what_no_process_has_a_gradient_of_stays_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW leaves such a parameter alone, as in one process; a zero would move it by momentum."""

    def other_has(flags: torch.Tensor, op: object = None) -> None:
        if flags.dtype == torch.uint8:
            flags[1] = 1  # the other process has a gradient of the second

    monkeypatch.setattr("torch.distributed.all_reduce", other_has)
    first, second, third = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    first.grad = torch.full((2,), 5.0)
    World(0, 2).sum_gradients([first, second, third])
    assert first.grad.tolist() == [5, 5] and second.grad.tolist() == [0, 0] and third.grad is None


def test_processes_that_see_other_runs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(given: list[Any], own: int) -> None:
        given[:] = [own, 0]

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    World(0, 2).same(0, Path("run"))
    with pytest.raises(UsageError, match="runs of 0 and 7 steps in run"):
        World(0, 2).same(7, Path("run"))
