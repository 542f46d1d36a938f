"""The queue and its leases."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from samkit.annotate import schemas
from samkit.annotate.ahead import prepare_next
from samkit.annotate.queueing import Held
from samkit.annotate.services import AnId, Here, Me

router = APIRouter(prefix="/api", tags=["queue"])


@router.post("/queue/next", response_model=None)
def next_image(here: Here, me: Me, sent: schemas.After) -> Response:
    """The next image on which nobody works, leased for a while; 204 where there is none."""
    taken = here.queue.next(me, sent.after)
    if taken is None:
        return Response(status_code=204)
    prepare_next(here, taken.image_id)
    lease = {"id": taken.lease_id, "expires_in": here.queue.seconds}
    return JSONResponse({"image": taken.image_id, "lease": lease})


@router.post("/images/{image_id}/lease")
def take(here: Here, me: Me, image_id: AnId, sent: schemas.Take | None = None) -> dict[str, Any]:
    """Lease this image; where somebody else works on it, `lease` is null and `holder` their name.

    `over` takes it from them.
    """
    over = sent is not None and sent.over
    taken = here.queue.take(image_id, me, over=over)
    if over:
        here.events.publish({"kind": "lease", "image": image_id})
    if isinstance(taken, Held):
        return {"lease": None, "holder": taken.name}
    return {"lease": {"id": taken.lease_id, "expires_in": here.queue.seconds}, "holder": None}


@router.post("/leases/{lease_id}/renew")
def renew(here: Here, me: Me, lease_id: AnId, sent: schemas.Empty | None = None) -> dict[str, Any]:
    """Keep an image for longer."""
    return {"id": lease_id, "expires_in": here.queue.renew(lease_id, me)}


@router.post("/leases/{lease_id}/release")
def release(
    here: Here, me: Me, lease_id: AnId, sent: schemas.Empty | None = None
) -> dict[str, Any]:
    """Give an image back."""
    image_id = here.queue.release(lease_id, me)
    if image_id is not None:
        here.events.publish({"kind": "lease", "image": image_id})
    return {"id": lease_id}
