"""Changes of masks: idempotent, versioned, in a log that only grows.

An operation names the version of the instance that its sender saw (`base`). Where the instance has
another version by now, the operation is kept as a conflict and changes nothing: what was sent and
what stood there can both be read later. Sending an operation again changes nothing either.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samkit.annotate import schemas
from samkit.annotate.access import Person
from samkit.annotate.limits import MAX_INSTANCES
from samkit.annotate.refusals import NotFound, NotUsable
from samkit.annotate.states import closed_to, note_change, review_of
from samkit.annotate.tables import Image, Instance, Operation

Result = dict[str, Any]


def locked_image(session: Session, image_id: str) -> Image:
    """An image, its row locked until the session ends. Raises NotFound."""
    image = session.get(Image, image_id, with_for_update=True, populate_existing=True)
    if image is None:
        raise NotFound(f"There is no image {image_id}.")
    return image


def apply(
    session: Session, image_id: str, person: Person, client: str, sent: Sequence[schemas.Operation]
) -> tuple[int, list[Result]]:
    """Apply operations in their order, in the session's transaction.

    Returns the image's version and for each operation {op, status, version}: "accepted",
    "duplicate" (it was accepted before) or "conflict", then with {kept: true, current: what stands
    there, or None}. Raises NotFound for the image, NotUsable for a mask of another size, a put
    without value, or an id that was used for another change; then nothing is changed at all.
    """
    image = locked_image(session, image_id)
    results = [_apply_one(session, image, person, client, operation) for operation in sent]
    return image.version, results


def instance_json(instance: Instance) -> dict[str, Any]:
    """An instance as the contract has it."""
    own = {"id": instance.id, "version": instance.version, "editor": instance.editor}
    return own | instance.value


def instances_of(session: Session, image_id: str) -> list[dict[str, Any]]:
    """All masks of an image that are not deleted, in the order in which they were made."""
    query = (
        select(Instance)
        .where(Instance.image_id == image_id, Instance.deleted.is_(False))
        .order_by(Instance.position)
    )
    return [instance_json(instance) for instance in session.scalars(query)]


def image_json(session: Session, image: Image) -> dict[str, Any]:
    """An image with all its masks, as the contract has it."""
    names = ("id", "name", "width", "height", "state", "version")
    return {name: getattr(image, name) for name in names} | {
        "instances": instances_of(session, image.id),
        "review": review_of(session, image.id),
    }


def conflicts_of(session: Session, image_id: str) -> list[dict[str, Any]]:
    """What was sent and not taken, oldest first; `open` until its sender changed the mask again."""
    log = Operation.__table__.alias("later")
    settled = (
        select(func.count())
        .select_from(log)
        .where(
            log.c.image_id == image_id,
            log.c.status == "accepted",
            log.c.instance_id == Operation.instance_id,
            log.c.client == Operation.client,
            log.c.number > Operation.number,
        )
        .scalar_subquery()
    )
    query = (
        select(Operation, settled)
        .where(Operation.image_id == image_id, Operation.status == "conflict")
        .order_by(Operation.number)
    )
    return [
        {
            "op": row.op,
            "instance": row.instance_id,
            "kind": row.kind,
            "sent": _sent_json(row),
            "current": row.current,
            "at": row.at,
            "editor": row.editor,
            "client": row.client,
            "open": later == 0,
        }
        for row, later in session.execute(query)
    ]


def _apply_one(
    session: Session, image: Image, person: Person, client: str, sent: schemas.Operation
) -> Result:
    value = _value_for(image, sent)
    known = session.scalar(select(Operation).where(Operation.op == sent.op))
    if known is not None:
        return _again(image, sent, value, known)
    instance = session.get(Instance, (image.id, sent.instance))
    version = 0 if instance is None else instance.version
    current = None if instance is None or instance.deleted else instance_json(instance)
    accepted = version == sent.base and not closed_to(image, person)
    if accepted:
        instance = _store(session, image, sent, value, instance, person)
        version = instance.version
        note_change(session, image, person)
    session.add(
        Operation(
            op=sent.op,
            image_id=image.id,
            instance_id=sent.instance,
            kind=sent.kind,
            base=sent.base,
            value=value,
            status="accepted" if accepted else "conflict",
            version=version,
            current=None if accepted else current,
            editor=person.name,
            client=client,
            at=time.time(),
        )
    )
    session.flush()
    if accepted:
        return {"op": sent.op, "status": "accepted", "version": version}
    return _conflict(sent.op, version, current)


def _value_for(image: Image, sent: schemas.Operation) -> dict[str, Any] | None:
    if sent.kind == "delete":
        return None
    if sent.value is None:
        raise NotUsable(f"Operation {sent.op} is a put and needs a value.")
    value = sent.value.kept()
    if value["rle"]["size"] != [image.height, image.width]:
        height, width = value["rle"]["size"]
        raise NotUsable(
            f"Operation {sent.op} has a mask of {width} x {height} pixels, but the image has "
            f"{image.width} x {image.height}."
        )
    return value


def _again(
    image: Image, sent: schemas.Operation, value: dict[str, Any] | None, known: Operation
) -> Result:
    """The answer to an operation that is in the log already.

    Its base may differ: a client that lost the answer may have learned of newer versions since.
    """
    logged = (known.image_id, known.instance_id, known.kind, known.value)
    if logged != (image.id, sent.instance, sent.kind, value):
        raise NotUsable(f"The id {sent.op} was used for another change; take a fresh one.")
    if known.status == "conflict":
        return _conflict(sent.op, known.version, known.current)
    return {"op": sent.op, "status": "duplicate", "version": known.version}


def _conflict(op: str, version: int, current: dict[str, Any] | None) -> Result:
    return {"op": op, "status": "conflict", "kept": True, "version": version, "current": current}


def _store(
    session: Session,
    image: Image,
    sent: schemas.Operation,
    value: dict[str, Any] | None,
    instance: Instance | None,
    person: Person,
) -> Instance:
    """Bring an instance to its next version."""
    was = instance is not None and not instance.deleted
    if instance is None:
        position = _next_position(session, image)
        instance = Instance(
            image_id=image.id,
            id=sent.instance,
            position=position,
            version=0,
            deleted=True,
            value={},
        )
        session.add(instance)
    instance.version += 1
    instance.deleted = value is None
    instance.editor = person.name
    if value is not None:
        instance.value = value
    image.instances += int(not instance.deleted) - int(was)
    return instance


def _next_position(session: Session, image: Image) -> int:
    """Of a new instance; deleted ones keep theirs, and count."""
    query = select(func.count()).where(Instance.image_id == image.id)
    count = session.scalar(query) or 0
    if count >= MAX_INSTANCES:
        raise NotUsable(f"An image holds at most {MAX_INSTANCES} masks.")
    return count


def _sent_json(row: Operation) -> dict[str, Any] | None:
    if row.value is None:
        return None
    return {"id": row.instance_id, "version": row.base, "editor": row.editor} | row.value
