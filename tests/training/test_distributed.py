"""Two processes train as one would."""

import os
import subprocess
import sys
from pathlib import Path

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
world = World.join(torch.device("cpu"))
photos = Photographs([("store", StoreReader(Path({store!r})))])
losses = []
trainer = Trainer(sam, photos, recipe, Path({out!r}), world=world)
trainer.run(report=lambda step, seen: losses.append(seen["loss"]))
if world.is_first:
    torch.save({{"losses": losses, "weights": sam.state_dict()}}, {out!r} + "/seen.pt")
world.leave()
"""


def train(store: Path, out: Path, processes: int) -> dict[str, object]:
    out.mkdir()
    script = out / "train.py"
    script.write_text(CODE.format(here=str(Path(__file__).parent), store=str(store), out=str(out)))
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nnodes=1"]
        command += [f"--nproc-per-node={processes}"]
    subprocess.run(
        [*command, str(script)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300
    )
    return torch.load(out / "seen.pt", weights_only=True)


def test_two_processes_give_one_process_s_losses_and_weights(store: Path, tmp_path: Path) -> None:
    one, two = train(store, tmp_path / "one", 1), train(store, tmp_path / "two", 2)
    assert len(one["losses"]) == 3
    assert one["losses"] == pytest.approx(two["losses"], abs=1e-5)
    for name, value in one["weights"].items():
        if name.endswith("k_proj.bias"):
            continue  # attention does not depend on it, so its gradient is rounding alone
        assert torch.allclose(value, two["weights"][name], atol=1e-5), name
    assert load_state(tmp_path / "two")["step"] == 3


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert list(World(1, 2).share(6)) == [3, 4, 5]
    with pytest.raises(UsageError, match="cannot be shared evenly by 2 processes"):
        World(0, 2).share(3)
