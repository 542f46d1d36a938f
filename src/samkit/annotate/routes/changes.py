"""Changes of an image: operations on its masks, and its state."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from samkit.annotate import operations, schemas, states
from samkit.annotate.access import Person
from samkit.annotate.refusals import NotAllowedNow
from samkit.annotate.services import AnId, Here, Me, Services

router = APIRouter(prefix="/api/images", tags=["changes"])


@router.post("/{image_id}/operations")
def send_operations(here: Here, me: Me, image_id: AnId, sent: schemas.Operations) -> JSONResponse:
    """Change masks. 200 where all is taken, 409 where some met a newer version and are kept aside.

    When the answer is there, everything is on the disk.
    """
    with here.project.database.write() as session:
        version, results = operations.apply(session, image_id, me, sent.client, sent.operations)
    conflict = any(result["status"] == "conflict" for result in results)
    return JSONResponse({"version": version, "results": results}, 409 if conflict else 200)


@router.post("/{image_id}/submit")
def submit(here: Here, me: Me, image_id: AnId, sent: schemas.Submit) -> JSONResponse:
    """The image is done. 409 with `current`, the image as it is now, where its version is another.

    So it is with skip and review too.
    """
    return _bring(here, me, image_id, "submitted", sent, seconds=sent.seconds)


@router.post("/{image_id}/skip")
def skip(here: Here, me: Me, image_id: AnId, sent: schemas.Skip) -> JSONResponse:
    """The image is left out."""
    return _bring(here, me, image_id, "skipped", sent, note=sent.reason, seconds=sent.seconds)


@router.post("/{image_id}/review")
def review(here: Here, me: Me, image_id: AnId, sent: schemas.Review) -> JSONResponse:
    """A reviewer accepts a submitted image, or sends it back."""
    state = "accepted" if sent.decision == "accept" else "rejected"
    return _bring(here, me, image_id, state, sent, note=sent.comment)


def _bring(
    here: Services, me: Person, image_id: str, state: str, sent: schemas.Change, **told: Any
) -> JSONResponse:
    with here.project.database.write() as session:
        image = operations.locked_image(session, image_id)
        try:
            after, version = states.bring_to(
                session, image, state, me, op=sent.op, base=sent.base, **told
            )
        except NotAllowedNow as error:
            current = operations.image_json(session, image)
            return JSONResponse({"error": str(error), "current": current}, error.status)
    return JSONResponse({"state": after, "version": version})
