"""What must be ready before a person can point: embeddings, by urgency, and the decoder.

One thread takes the most urgent task and has the model's process do it. Where that dies, it is
started again and the task tried once more; a task that kills it twice fails with a sentence.
"""

import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import samkit
from samkit.annotate.embeddings import Cache, Crop, Key
from samkit.annotate.model_process import ModelChoice, ModelInfo, ModelProcess, ProcessDied
from samkit.annotate.refusals import NotReady
from samkit.errors import SamkitError


class Urgency(IntEnum):
    """Lower is sooner."""

    INTERACTIVE = 0
    """Somebody waits."""
    SOON = 1
    """One of the next images."""
    SOME_TIME = 2
    """Everything else."""


@dataclass(frozen=True)
class Source:
    """An image to embed; size: (H, W)."""

    image_id: str
    sha256: str
    path: Path
    size: tuple[int, int]

    @property
    def whole(self) -> Crop:
        """The crop that is all of it."""
        return 0, 0, self.size[1], self.size[0]


@dataclass(eq=False)
class _Task:
    wanted: dict[str, Any]
    after: Callable[[], None]
    urgency: Urgency
    future: "Future[None]" = field(default_factory=Future)
    taken: bool = False


class Preparing:
    """Embeddings and decoder of one model; from any thread."""

    def __init__(
        self,
        choice: ModelChoice,
        cache: Cache,
        decoders: Path,
        prepared: Callable[[str], None] = lambda image_id: None,
    ) -> None:
        """Starts the process and waits until the model is loaded.

        decoders: folder in which each model's decoder has its own. prepared: called with an image's
        id when its embedding is there. Raises CheckpointError where the model cannot be loaded.
        """
        self._cache = cache
        self._prepared = prepared
        self._process = ModelProcess(choice)
        self.model: ModelInfo = self._process.start()
        self._folder = decoders / f"{self.model.id}-{samkit.__version__}"
        self._changed = threading.Condition()
        self._heap: list[tuple[int, int, _Task]] = []
        self._numbers = itertools.count()
        self._tasks: dict[str, _Task] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="preparing", daemon=True)
        self._thread.start()
        self._write_decoder()  # takes less than a second, so that what lies there is never stale

    @property
    def cache(self) -> Cache:
        """Where embeddings are kept."""
        return self._cache

    @property
    def pid(self) -> int | None:
        """Of the model's process."""
        return self._process.pid

    def key(self, sha256: str, crop: Crop) -> Key:
        """Under which an embedding is kept."""
        return Key(sha256, self.model.id, self.model.img_size, crop)

    def embed(self, source: Source, crop: Crop, urgency: Urgency) -> "Future[None]":
        """Have an embedding made, if it is not in the cache; the future ends when it is there.

        An embedding that waits already becomes as urgent as the most urgent wish.
        """
        key = self.key(source.sha256, crop)
        if key in self._cache:
            return _done()

        def after() -> None:
            self._cache.add(key)
            if crop == source.whole:
                self._prepared(source.image_id)

        wanted = {
            "do": "embed",
            "path": str(source.path),
            "size": source.size,
            "crop": crop,
            "file": str(self._cache.path(key)),
        }
        return self._want(key.file_name, _Task(wanted, after, urgency))

    def decoder(self) -> "tuple[Path, Future[None]]":
        """The folder of the page's decoder, and the future that ends when it is there."""
        folder = self._folder
        with self._changed:
            under_way = self._tasks.get(str(folder))
        if under_way is not None:
            return folder, under_way.future
        return folder, _done() if folder.is_dir() else self._write_decoder()

    def _write_decoder(self) -> "Future[None]":
        wanted = {"do": "decoder", "folder": str(self._folder)}
        return self._want(str(self._folder), _Task(wanted, lambda: None, Urgency.INTERACTIVE))

    def close(self) -> None:
        """Ends the process and the thread; what waits fails."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._process.stop()
        self._thread.join()
        for task in list(self._tasks.values()):
            task.future.set_exception(NotReady("The server is about to stop."))

    def _want(self, name: str, task: _Task) -> "Future[None]":
        with self._changed:
            if self._closing:
                raise NotReady("The server is about to stop.")
            known = self._tasks.setdefault(name, task)
            if known is task or (task.urgency < known.urgency and not known.taken):
                known.urgency = task.urgency
                heapq.heappush(self._heap, (task.urgency, next(self._numbers), known))
                self._changed.notify_all()
            return known.future

    def _run(self) -> None:
        while (task := self._take()) is not None:
            error: Exception | None = None
            try:
                self._do(task.wanted)
                task.after()
            except Exception as problem:  # goes to whoever waits, whatever it is
                error = problem
            if self._closing:
                return
            with self._changed:
                self._tasks = {name: t for name, t in self._tasks.items() if t is not task}
            if error is None:
                task.future.set_result(None)
            else:
                task.future.set_exception(error)

    def _take(self) -> _Task | None:
        with self._changed:
            while not self._closing:
                while self._heap:
                    task = heapq.heappop(self._heap)[2]
                    if not task.taken:
                        task.taken = True
                        return task
                self._changed.wait()
        return None

    def _do(self, wanted: dict[str, Any]) -> None:
        try:
            self._process.ask(wanted)
        except ProcessDied:
            if self._closing:
                raise
            self._process.start()
            try:
                self._process.ask(wanted)
            except ProcessDied:
                with contextlib.suppress(SamkitError):
                    self._process.start()
                raise


def _done() -> "Future[None]":
    future: Future[None] = Future()
    future.set_result(None)
    return future
