"""The queue: who works on which image just now, and which comes next.

A lease is held on one image for a while and renewed by whoever works on it. It keeps the queue from
handing the image to somebody else, and tells whoever opens it; what is saved without one is judged
by its version.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samkit.annotate.access import Person
from samkit.annotate.database import Database
from samkit.annotate.refusals import NotAllowedNow, NotFound
from samkit.annotate.states import OPEN
from samkit.annotate.tables import Image, Lease, User, new_id

LEASE_SECONDS = 180.0
"""How long a lease lasts without being renewed."""

_TRIES = 20  # two servers on one PostgreSQL may want the same image at the same moment


@dataclass(frozen=True)
class Taken:
    """An image that now is somebody's."""

    image_id: str
    lease_id: str


@dataclass(frozen=True)
class Held:
    """An image that is somebody else's."""

    name: str
    """Of the person who works on it."""


class Queue:
    """Hands out images, each to one at a time."""

    def __init__(
        self,
        database: Database,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """seconds: how long a lease lasts. clock: seconds since 1970."""
        self._database = database
        self._clock = clock
        self.seconds = seconds

    def next(self, person: Person, after: str | None = None) -> Taken | None:
        """Lease the next image that is open and nobody's, or None where there is none.

        after: an image's id; the search begins behind it, and goes on from the start at the end.
        Raises NotFound for an `after` that is not there.
        """
        for _ in range(_TRIES):
            try:
                with self._database.write() as session:
                    return self._take(session, person, after)
            except IntegrityError:  # another server was quicker
                continue
        return None

    def take(self, image_id: str, person: Person, *, over: bool = False) -> Taken | Held:
        """Lease one image, or say who has it; a lease of one's own is renewed.

        over: take it from whoever has it; they learn of it when they renew. Raises NotFound.
        """
        for _ in range(_TRIES):
            try:
                with self._database.write() as session:
                    return self._take_one(session, image_id, person, over)
            except IntegrityError:  # another server was quicker
                continue
        raise NotAllowedNow("Many want this image at the same moment; try again.")

    def renew(self, lease_id: str, person: Person) -> float:
        """Hold an image for longer; returns the seconds. Raises NotFound where it ran out."""
        now = self._clock()
        with self._database.write() as session:
            query = (
                update(Lease)
                .where(Lease.id == lease_id, Lease.user_id == person.id, Lease.expires > now)
                .values(expires=now + self.seconds)
                .returning(Lease.id)
            )
            if session.scalar(query) is None:
                raise NotFound("The lease has run out; ask for the next image.")
        return self.seconds

    def release(self, lease_id: str, person: Person) -> str | None:
        """Give an image back; returns its id, or None where it was not this person's any more."""
        own = (Lease.id == lease_id, Lease.user_id == person.id)
        with self._database.write() as session:
            image_id: str | None = session.scalar(
                delete(Lease).where(*own).returning(Lease.image_id)
            )
        return image_id

    def _take_one(
        self, session: Session, image_id: str, person: Person, over: bool
    ) -> Taken | Held:
        now = self._clock()
        if session.get(Image, image_id) is None:
            raise NotFound(f"There is no image {image_id}.")
        lease = session.get(Lease, image_id, with_for_update=True)
        if lease is None or lease.user_id != person.id:
            if lease is not None:
                if lease.expires > now and not over:
                    return Held(session.get_one(User, lease.user_id).name)
                session.delete(lease)
                session.flush()
            lease = Lease(image_id=image_id, id=new_id(), user_id=person.id, expires=now)
            session.add(lease)
        lease.expires = now + self.seconds
        session.flush()
        return Taken(image_id, lease.id)

    def _take(self, session: Session, person: Person, after: str | None) -> Taken | None:
        now = self._clock()
        free = ~exists().where(Lease.image_id == Image.id, Lease.expires > now)
        start = _position(session, after)
        image_id = _first(session, free, Image.position > start)
        if image_id is None and start >= 0:
            image_id = _first(session, free, Image.position < start)
        if image_id is None:
            return None
        session.execute(delete(Lease).where(Lease.image_id == image_id, Lease.expires <= now))
        lease = Lease(image_id=image_id, id=new_id(), user_id=person.id, expires=now + self.seconds)
        session.add(lease)
        session.flush()
        return Taken(image_id, lease.id)


def upcoming(session: Session, after: str, count: int) -> list[str]:
    """The images that will be asked for next, for what is made ahead."""
    query = (
        select(Image.id)
        .where(Image.state.in_(OPEN), Image.position > _position(session, after))
        .order_by(Image.position)
        .limit(count)
    )
    return list(session.scalars(query))


def _position(session: Session, image_id: str | None) -> int:
    if image_id is None:
        return -1
    position = session.scalar(select(Image.position).where(Image.id == image_id))
    if position is None:
        raise NotFound(f"There is no image {image_id}.")
    return position


def _first(session: Session, *conditions: ColumnElement[bool]) -> str | None:
    query = (
        select(Image.id)
        .where(Image.state.in_(OPEN), *conditions)
        .order_by(Image.position)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.scalar(query)
