"""Images: their list, one with its masks, its pixels."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from samkit.annotate import limits, pictures, states
from samkit.annotate.indexing import file_of, image_of
from samkit.annotate.operations import conflicts_of, image_json
from samkit.annotate.refusals import NotUsable
from samkit.annotate.services import AnId, Here, Services
from samkit.annotate.tables import Image

router = APIRouter(prefix="/api/images", tags=["images"])

MOST = 500
"""Images in one answer."""


@router.get("")
def list_images(
    here: Here,
    state: Annotated[str | None, Query(max_length=20)] = None,
    after: Annotated[str | None, Query(pattern=limits.ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> dict[str, Any]:
    """Images in the queue's order, those behind `after`; `next` is what to put there next time."""
    if state is not None and state not in states.STATES:
        raise NotUsable(f"There is no state {state!r}; choose one of {', '.join(states.STATES)}.")
    with here.project.database.read() as session:
        query = select(Image).order_by(Image.position).limit(limit + 1)
        if state is not None:
            query = query.where(Image.state == state)
        if after is not None:
            query = query.where(Image.position > image_of(session, after).position)
        found = list(session.scalars(query))
    return {
        "images": [_summary(here, image) for image in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


@router.get("/{image_id}")
def read_image(here: Here, image_id: AnId) -> dict[str, Any]:
    """An image with all its masks."""
    with here.project.database.read() as session:
        return image_json(session, image_of(session, image_id))


@router.get("/{image_id}/picture", response_class=Response)
def read_picture(
    here: Here, image_id: AnId, max: Annotated[int | None, Query(ge=16, le=16384)] = None
) -> Response:
    """The photograph, upright and encoded again; `max`: its longer side in pixels."""
    with here.project.database.read() as session:
        image = image_of(session, image_id)
        path = file_of(session, image)
    data, kind = pictures.encode(path, (image.height, image.width), image.kind, max)
    return Response(data, media_type=kind)


@router.get("/{image_id}/conflicts")
def read_conflicts(here: Here, image_id: AnId) -> list[dict[str, Any]]:
    """Changes that met a newer version: what was sent, and what stood there."""
    with here.project.database.read() as session:
        return conflicts_of(session, image_of(session, image_id).id)


def _summary(here: Services, image: Image) -> dict[str, Any]:
    prepared = False
    if here.preparing is not None:
        key = here.preparing.key(image.sha256, (0, 0, image.width, image.height))
        prepared = key in here.preparing.cache
    names = ("id", "name", "width", "height", "state", "version", "instances")
    return {name: getattr(image, name) for name in names} | {"prepared": prepared}
