"""Independent pieces of work, each on cores of its own.

The decoder's operations are small: split among all cores, each of them waits for the slowest core
about as long as it computes. Pieces that need nothing of each other (a few prompts, a mask) instead
go to a few threads, in which torch uses as few threads as there are cores for each.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

CPU = torch.device("cpu")

MOST_WORKERS = 8
"""Each holds temporaries of its own; more cores than this are shared out among so many."""


def on_separate_cores(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    device: torch.device = CPU,
) -> Iterator[Result]:
    """work(item) for all items, in their order, a few at a time; without gradients.

    Where the device is no CPU, or torch has one thread, one after another in the caller's thread.
    What `work` raises is raised here, and work that has not begun is then not begun.
    """
    items = iter(items)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    first = list(islice(items, min(threads, MOST_WORKERS)))
    if len(first) < 2:
        for item in chain(first, items):
            with torch.no_grad():
                result = work(item)
            yield result
        return
    started = threading.Barrier(len(first) + 1)
    mixed, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def start() -> None:
        torch.get_num_threads()  # a thread's first question takes over what holds for new ones
        torch.set_num_threads(max(1, threads // len(first)))
        started.wait()

    def run(item: Item) -> Result:
        # Both hold for the thread that said so.
        with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=mixed):
            return work(item)

    pool = ThreadPoolExecutor(len(first), "samkit", start)
    try:
        running: deque[Future[Result]] = deque(pool.submit(run, item) for item in first)
        started.wait()
        torch.set_num_threads(threads)  # what a worker sets holds for it and for threads to come
        running.extend(pool.submit(run, item) for item in islice(items, len(first)))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(run, item) for item in islice(items, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
