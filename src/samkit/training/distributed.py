"""One process or many: who has which images, and gradients that are summed over all."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from samkit.checkpoints.precision import choose_device
from samkit.errors import SamkitError, UsageError
from samkit.files import held, remove_unfinished

T = TypeVar("T")

BUCKET_VALUES = 1 << 24
"""Gradients travel in buckets of so many values (64 MB of float32)."""


class World:
    """The processes of a run: this one's rank, and what they do together.

    Every process computes the gradient of its own share of the images, divided by the whole batch,
    so that the sum over processes is the batch's gradient, as one process would have it. The
    decoder is run backwards image by image and the encoder once (see `PromptableStep`), which
    DistributedDataParallel's hooks cannot follow; the sum is therefore taken once a step.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @classmethod
    def join(cls, device: torch.device) -> "World":
        """Joins the processes that `torchrun` started; alone where it did not.

        Uses NCCL on CUDA and gloo elsewhere.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which images of a batch of `count` this process takes."""
        if count % self.size:
            raise UsageError(
                f"A batch of {count} images cannot be shared evenly by {self.size} processes; "
                "choose another --batch or number of processes."
            )
        each = count // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sums the gradients of all processes, in place.

        One that some processes lack counts as zero; what none has stays without, as it would in one
        process, so that the optimiser leaves that parameter alone.
        """
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        if self.size == 1 or not learned:
            return
        has = torch.tensor([p.grad is not None for p in learned], dtype=torch.uint8)
        has = has.to(learned[0].device)
        dist.all_reduce(has, op=dist.ReduceOp.MAX)
        bucket: list[Tensor] = []
        values = 0
        for parameter, someone in zip(learned, has.tolist(), strict=True):
            if not someone:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            values += parameter.numel()
            if values >= BUCKET_VALUES:
                _sum(bucket)
                bucket, values = [], 0
        if bucket:
            _sum(bucket)

    def mean(self, seen: dict[str, float]) -> dict[str, float]:
        """Means of what was measured, over the processes that measured it."""
        if self.size == 1:
            return seen
        kept = self.everyone(seen)
        keys = {key for own in kept for key in own}
        return {
            key: sum(own[key] for own in kept if key in own) / sum(key in own for own in kept)
            for key in keys
        }

    def everyone(self, own: T) -> list[T]:
        """What each process gives, by rank."""
        if self.size == 1:
            return [own]
        given: list[Any] = [None] * self.size
        dist.all_gather_object(given, own)
        return given

    def same(self, step: int, folder: Path) -> None:
        """Raises UsageError where the processes do not go on from the same step."""
        if len(steps := set(self.everyone(step))) > 1:
            raise UsageError(
                f"The processes found runs of {' and '.join(map(str, sorted(steps)))} steps in "
                f"{folder}; all of them need to see the same folder."
            )

    @contextlib.contextmanager
    def hold(self, folder: Path) -> Iterator[None]:
        """Keeps other runs out of a folder, and clears it of what a run that was killed has left.

        Raises UsageError, in every process, where another run is in it.
        """
        with contextlib.ExitStack() as stack:
            refusal = None
            if self.is_first:
                try:
                    stack.enter_context(held(folder))
                    remove_unfinished(folder)
                except SamkitError as error:
                    refusal = str(error)
            if refusal := self.everyone(refusal)[0]:
                raise UsageError(refusal)
            yield

    def agree(self, wish: bool, device: torch.device) -> bool:
        """Whether any process wishes so, such as to stop."""
        if self.size == 1:
            return wish
        flag = torch.tensor(float(wish), device=device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def leave(self) -> None:
        """Ends the group of processes."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def own_device(name: str) -> torch.device:
    """The device that is asked for; of several GPUs each process of `torchrun` takes its own."""
    device = choose_device(name)
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def _sum(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        end = start + gradient.numel()
        gradient.copy_(flat[start:end].view_as(gradient))
        start = end
