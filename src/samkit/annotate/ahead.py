"""Embeddings that are made before anybody asks: of the next images, or of all."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from samkit.annotate.database import Database
from samkit.annotate.embeddings import Key
from samkit.annotate.events import Events
from samkit.annotate.indexing import file_of, image_of
from samkit.annotate.preparing import Preparing, Source, Urgency
from samkit.annotate.queueing import upcoming
from samkit.annotate.refusals import NotFound
from samkit.annotate.services import Services
from samkit.annotate.tables import Image

IMAGES = 3
"""How many images ahead of the one on the screen."""


def source_of(session: Session, image_id: str) -> Source:
    """What the model's process needs of an image. Raises NotFound, also where its file is gone."""
    image = image_of(session, image_id)
    return Source(image.id, image.sha256, file_of(session, image), (image.height, image.width))


def prepare_next(here: Services, image_id: str) -> None:
    """Begin to embed an image that was just handed out, and the next ones after it."""
    if here.preparing is None:
        return
    with here.project.database.read() as session:
        wanted = [image_id, *upcoming(session, image_id, IMAGES)]
        for place, each in enumerate(wanted):
            urgency = Urgency.SOON if place else Urgency.INTERACTIVE
            with contextlib.suppress(NotFound):  # whoever opens it is told
                source = source_of(session, each)
                here.preparing.embed(source, source.whole, urgency)


class Watcher(Protocol):
    """Whom to tell of each image that is embedded ahead."""

    def start(self, name: str) -> None:
        """An image is next."""

    def finish(self, what: str, *, failed: bool = False) -> None:
        """It is there, or why it cannot be."""

    def note(self, line: str) -> None:
        """Something else to know."""


Watch = Callable[[int], AbstractContextManager[Watcher | None]]
"""Called with how many images there are to embed."""


class Precomputing:
    """Embeds all images in the queue's order, whenever nothing more urgent is to do.

    Ends where the cache is full, since one more would only push out another. Progress goes to the
    pages as events {kind: "progress", done, total}, and to whoever watches.
    """

    def __init__(
        self,
        database: Database,
        preparing: Preparing,
        events: Events,
        watch: Watch = lambda total: contextlib.nullcontext(),
    ) -> None:
        """Starts at once, in a thread of its own."""
        self._database = database
        self._preparing = preparing
        self._events = events
        self._watch = watch
        self._stop = threading.Event()
        self.failed: dict[str, str] = {}
        """Name of an image that could not be embedded, and why."""
        self.left = 0
        """How many images the cache had no room for."""
        self._thread = threading.Thread(target=self._run, name="precomputing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends soon; what is made stays."""
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Until all are made."""
        self._thread.join()

    def _run(self) -> None:
        cache, (wanted, total) = self._preparing.cache, self._wanted()
        failures = 0  # images of several folders may share a name
        with self._watch(len(wanted)) if wanted else contextlib.nullcontext() as watcher:
            for done, (image_id, name, key) in enumerate(wanted, total - len(wanted)):
                self._tell(done, total)
                if watcher is not None:
                    watcher.start(name)
                error = self._embed(image_id)
                if self._stop.is_set():
                    return
                if error is not None:
                    self.failed[name] = error
                    failures += 1
                if watcher is not None:
                    watcher.finish(error or "embedded", failed=error is not None)
                if cache.total + _bytes(cache.path(key)) > cache.max_bytes:
                    break
            self.left = len(self._wanted()[0]) - failures
            if self.left and watcher is not None:
                watcher.note(f"The cache is full; images without an embedding: {self.left:,}.")
        self._tell(total, total)

    def _wanted(self) -> tuple[list[tuple[str, str, Key]], int]:
        """Id, name and key of each image without an embedding, and how many images there are."""
        query = select(Image).order_by(Image.position)
        with self._database.read() as session:
            images = list(session.scalars(query))
        wanted = [
            (image.id, image.name, key)
            for image in images
            if (key := self._preparing.key(image.sha256, (0, 0, image.width, image.height)))
            not in self._preparing.cache
        ]
        return wanted, len(images)

    def _embed(self, image_id: str) -> str | None:
        """Why an image could not be embedded, if it could not."""
        try:
            with self._database.read() as session:
                source = source_of(session, image_id)
            self._wait(self._preparing.embed(source, source.whole, Urgency.SOME_TIME))
        except (Exception, CancelledError) as error:  # whatever it is, the others come next
            return str(error) or type(error).__name__
        return None

    def _wait(self, future: "Future[None]") -> None:
        while not self._stop.is_set():
            with contextlib.suppress(NotYet):
                return future.result(0.2)

    def _tell(self, done: int, total: int) -> None:
        self._events.publish({"kind": "progress", "done": done, "total": total})


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it could not be made, or has gone for another
        return 0
