"""How long work is shown: a bar on a terminal, lines elsewhere; all of it on stderr."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_WINDOW = 3600.0  # seconds whose speed the estimate of the rest is made from
_PER_SECOND = 5
_RECENT = 20  # steps over which the speed of a training is averaged
_QUIET = 20.0  # seconds between two lines where there is no terminal


class Steps:
    """Progress over a number of named steps, such as images."""

    def __init__(self, total: int, bar: Progress | None) -> None:
        self.total, self._bar = total, bar
        self._done, self._started, self._name = 0, 0.0, ""
        self._task = None if bar is None else bar.add_task("", total=total)

    def start(self, name: str) -> None:
        """A step begins."""
        self._name, self._started = name, time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=_short(name))

    def part(self, done: int, total: int) -> None:
        """So much of the step that has begun is done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done + done / total)

    def finish(self, what: str, *, failed: bool = False) -> None:
        """The step is over. what: one line about it; on a terminal only failures are kept."""
        self._done += 1
        line = what if self._name in what else f"{self._name}: {what}"
        if self._bar is None or self._task is None:
            seconds = time.monotonic() - self._started
            _say(f"[{self._done}/{self.total}] {line} ({seconds:.1f} s)")
            return
        self._bar.update(self._task, completed=self._done)
        if failed:
            self.note(line)

    def note(self, line: str) -> None:
        """A line of its own."""
        if self._bar is None:
            _say(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def steps(total: int) -> Iterator[Steps]:
    """Show progress over a number of steps while the block runs."""
    if not sys.stderr.isatty():
        yield Steps(total, None)
        return
    with _bar(MofNCompleteColumn(), TimeElapsedColumn(), _Rest()) as bar:
        yield Steps(total, bar)


class Transfer:
    """Progress of a download; call it with (bytes here, bytes in all)."""

    def __init__(self, name: str, bar: Progress | None) -> None:
        self._name, self._bar, self._tenths = name, bar, -1
        self._task: TaskID | None = None

    def __call__(self, here: int, total: int) -> None:
        """Show how far it is."""
        if self._bar is None:
            if here * 10 // total > self._tenths:
                self._tenths = here * 10 // total
                _say(f"{self._name}: {here / 1e6:,.0f} of {total / 1e6:,.0f} MB")
            return
        if self._task is None:  # what an earlier try has left does not count as speed
            self._task = self._bar.add_task(self._name, total=total, completed=here)
        self._bar.update(self._task, completed=here)


@contextmanager
def transfer(name: str) -> Iterator[Transfer]:
    """Show the progress of a download while the block runs."""
    if not sys.stderr.isatty():
        yield Transfer(name, None)
        return
    with _bar(DownloadColumn(), TransferSpeedColumn(), _Rest()) as bar:
        yield Transfer(name, bar)


@contextmanager
def training(
    start: int, end: int, images_a_step: int
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Show a training run while the block runs: call it with a step's number and measurements.

    Loss and speed are means over the latest steps; without a terminal there is a line now and then.
    """
    recent: deque[Mapping[str, float]] = deque(maxlen=_RECENT)
    bar = _bar(MofNCompleteColumn(), _Rest()) if sys.stderr.isatty() else None
    task = None if bar is None else bar.add_task("", total=end, completed=start)
    spoken = time.monotonic()

    def report(step: int, seen: Mapping[str, float]) -> None:
        nonlocal spoken
        recent.append(seen)
        loss = sum(s["loss"] for s in recent) / len(recent)
        speed = images_a_step * len(recent) / max(1e-9, sum(s["seconds"] for s in recent))
        line = f"loss {loss:.3f}  lr {seen['lr']:.2g}  {speed:.1f} images/s"
        if bar is not None and task is not None:
            bar.update(task, completed=step, description=line)
        elif time.monotonic() - spoken > _QUIET or step == end:
            spoken = time.monotonic()
            rest = (end - step) * images_a_step / speed / 60
            _say(f"[{step}/{end}] {line}  {rest:.0f} min left")

    with contextlib.nullcontext() if bar is None else bar:
        yield report


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal what the block is busy with, as long as it is."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(what):
        yield


class _Rest(TimeRemainingColumn):
    """The time that is left, which says so."""

    def __init__(self) -> None:
        super().__init__(compact=True, elapsed_when_finished=True)


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *columns,
        console=Console(stderr=True),
        refresh_per_second=_PER_SECOND,
        speed_estimate_period=_WINDOW,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _short(name: str, width: int = 28) -> str:
    return name if len(name) <= width else "…" + name[1 - width :]
