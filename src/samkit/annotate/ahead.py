"""Embeddings that are made before anybody asks: of the next images, or of all."""

import contextlib
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet

from sqlalchemy import select
from sqlalchemy.orm import Session

from samkit.annotate.indexing import file_of, image_of
from samkit.annotate.preparing import Preparing, Source, Urgency
from samkit.annotate.queueing import upcoming
from samkit.annotate.refusals import NotFound
from samkit.annotate.services import Services
from samkit.annotate.tables import Image
from samkit.errors import SamkitError

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


class Precomputing:
    """Embeds all images in the queue's order, whenever nothing more urgent is to do.

    Ends where the cache is full, since one more would only push out another. Progress goes to the
    pages as events {kind: "progress", done, total}.
    """

    def __init__(self, here: Services, preparing: Preparing) -> None:
        """Starts at once, in a thread of its own."""
        self._here = here
        self._preparing = preparing
        self._stop = threading.Event()
        self.failed: dict[str, str] = {}
        """Name of an image that could not be embedded, and why."""
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
        database, cache = self._here.project.database, self._preparing.cache
        with database.read() as session:
            images = session.execute(select(Image.id, Image.name).order_by(Image.position)).all()
        for done, (image_id, name) in enumerate(images):
            self._tell(done, len(images))
            before = cache.total
            try:
                with database.read() as session:
                    source = source_of(session, image_id)
                future = self._preparing.embed(source, source.whole, Urgency.SOME_TIME)
                if not self._finished(future):
                    return
            except SamkitError as error:
                self.failed[name] = str(error)
            newest = cache.total - before
            if cache.total + newest > cache.max_bytes:
                break
        self._tell(len(images), len(images))

    def _finished(self, future: "Future[None]") -> bool:
        while not self._stop.is_set():
            try:
                future.result(0.2)
                return True
            except NotYet:
                continue
            except CancelledError:
                return False
        return False

    def _tell(self, done: int, total: int) -> None:
        self._here.events.publish({"kind": "progress", "done": done, "total": total})
