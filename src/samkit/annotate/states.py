"""The states of an image, and who may bring it from one to the next.

    unlabelled ──first mask──▶ in_progress ──submit──▶ submitted ──review──▶ accepted | rejected
         └──────────── skip ───────┴──▶ skipped

A change to a mask brings a rejected or skipped image back to in_progress, and a submitted one stays
submitted. An accepted image is closed to annotators; a reviewer's change opens it again.

Whoever asks for a state names the version of the image that they saw: where there is another one by
now, nothing happens, so that nobody accepts masks that they never saw. Each request has an id;
sending it again changes nothing and gives the same answer. One for the state that the image has
already is logged as any other.
"""

import time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samkit.annotate.access import Person
from samkit.annotate.refusals import Forbidden, NotAllowedNow, NotUsable
from samkit.annotate.tables import Image, Transition

STATES = ("unlabelled", "in_progress", "submitted", "accepted", "rejected", "skipped")
"""All states, in the order in which people see them."""

OPEN = ("unlabelled", "in_progress", "rejected")
"""Images on which there is something to do for an annotator."""

_FROM = {
    "submitted": (*OPEN, "skipped"),
    "skipped": OPEN,
    "accepted": ("submitted",),
    "rejected": ("submitted", "accepted"),
}


def closed_to(image: Image, person: Person) -> bool:
    """Whether the masks of an image are no longer a person's to change."""
    return image.state == "accepted" and not person.may("reviewer")


def note_change(session: Session, image: Image, person: Person) -> None:
    """What an accepted operation does to its image."""
    image.version += 1
    if image.state not in ("in_progress", "submitted"):
        _enter(session, image, "in_progress", person)


def bring_to(
    session: Session,
    image: Image,
    state: str,
    person: Person,
    *,
    op: str,
    base: int,
    note: str = "",
    seconds: float = 0.0,
) -> tuple[str, int]:
    """Submit, skip, accept or reject an image whose row is locked; its state and version then.

    op: the request's id. base: the version of the image that its sender saw. note: the reason of
    a skip, the comment of a review. seconds: active ones on the image.
    Raises Forbidden for a role, NotAllowedNow for another version than `base` and for a state from
    which there is no way, NotUsable for an id that was used for another change.
    """
    if state in ("accepted", "rejected") and not person.may("reviewer"):
        raise Forbidden(f"{person.name} is an annotator; only a reviewer accepts or rejects.")
    known = session.scalar(select(Transition).where(Transition.op == op))
    if known is not None:
        if (known.image_id, known.after, known.note) != (image.id, state, note):
            raise NotUsable(f"The id {op} was used for another change; take a fresh one.")
        return known.after, known.version or 0
    if image.version != base:
        raise NotAllowedNow(
            f"The image has changed since you saw it (version {image.version}, not {base}); "
            "look at it again."
        )
    if image.state not in (state, *_FROM[state]):
        raise NotAllowedNow(f"The image is {image.state} and cannot become {state}.")
    image.version += 1
    _enter(session, image, state, person, note, seconds, op)
    return image.state, image.version


def review_of(session: Session, image_id: str) -> dict[str, Any] | None:
    """The last word of a reviewer: {decision, comment, by, at}."""
    query = (
        select(Transition)
        .where(
            Transition.image_id == image_id,
            Transition.after.in_(("accepted", "rejected")),
        )
        .order_by(Transition.number.desc())
        .limit(1)
    )
    last = session.scalar(query)
    if last is None:
        return None
    decision = "accept" if last.after == "accepted" else "reject"
    return {"decision": decision, "comment": last.note, "by": last.editor, "at": last.at}


def counts(session: Session) -> dict[str, int]:
    """How many images there are in each state."""
    query = select(Image.state, func.count()).group_by(Image.state)
    found: dict[str, int] = {state: count for state, count in session.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def _enter(
    session: Session,
    image: Image,
    state: str,
    person: Person,
    note: str = "",
    seconds: float = 0.0,
    op: str | None = None,
) -> None:
    session.add(
        Transition(
            image_id=image.id,
            before=image.state,
            after=state,
            note=note,
            seconds=seconds,
            editor=person.name,
            at=time.time(),
            op=op,
            version=image.version,
        )
    )
    image.state = state
