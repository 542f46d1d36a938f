"""Changes of an image: operations on its masks, and its state."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from samkit.annotate import operations, schemas, states
from samkit.annotate.access import Person
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
def submit(here: Here, me: Me, image_id: AnId, sent: schemas.Submit) -> dict[str, Any]:
    """The image is done."""
    return _bring(here, me, image_id, "submitted", "", sent.seconds)


@router.post("/{image_id}/skip")
def skip(here: Here, me: Me, image_id: AnId, sent: schemas.Skip) -> dict[str, Any]:
    """The image is left out."""
    return _bring(here, me, image_id, "skipped", sent.reason, sent.seconds)


@router.post("/{image_id}/review")
def review(here: Here, me: Me, image_id: AnId, sent: schemas.Review) -> dict[str, Any]:
    """A reviewer accepts a submitted image, or sends it back."""
    state = "accepted" if sent.decision == "accept" else "rejected"
    return _bring(here, me, image_id, state, sent.comment, 0.0)


def _bring(
    here: Services, me: Person, image_id: str, state: str, note: str, seconds: float
) -> dict[str, Any]:
    with here.project.database.write() as session:
        image = operations.locked_image(session, image_id)
        states.bring_to(session, image, state, me, note, seconds)
        return {"state": image.state, "version": image.version}
