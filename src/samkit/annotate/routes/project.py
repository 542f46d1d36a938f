"""The project: what it is, its people, what happens in it, what leaves it."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse

from samkit.annotate import schemas, states
from samkit.annotate.access import add_person
from samkit.annotate.exports import check_format, file_of_export, write_export
from samkit.annotate.jobs import Progress
from samkit.annotate.refusals import NotFound
from samkit.annotate.services import AnId, Here, Me
from samkit.annotate.snapshots import write_snapshot
from samkit.annotate.tables import new_id
from samkit.datasets.formats import FORMATS

router = APIRouter(prefix="/api", tags=["project"])


@router.get("/project")
def read_project(here: Here, me: Me) -> dict[str, Any]:
    """Name, model, images in each state, formats of exports, and who asks."""
    with here.project.database.read() as session:
        counts = states.counts(session)
    model = None
    if here.preparing is not None:
        model = {
            "id": here.preparing.model.id,
            "name": here.preparing.model.name,
            "decoder": "/api/decoder/decoder.onnx",
            "image": "/api/decoder/image.onnx",
            "constants": "/api/decoder/constants.json",
        }
    return {
        "id": here.project.id,
        "name": here.project.name,
        "model": model,
        "counts": counts,
        "formats": list(FORMATS),
        "me": {"name": me.name, "role": me.role},
    }


@router.get("/events", response_class=StreamingResponse)
async def read_events(here: Here) -> StreamingResponse:
    """What happens, as text/event-stream: prepared, progress, job, lease."""
    return StreamingResponse(here.events.stream(), media_type="text/event-stream")


@router.post("/users")
def add_user(here: Here, me: Me, sent: schemas.NewUser) -> dict[str, str]:
    """A new person; the token is shown this once."""
    me.require("admin")
    token = add_person(here.project.database, sent.name, sent.role)
    return {"name": sent.name, "role": sent.role, "token": token}


@router.post("/snapshots")
def start_snapshot(here: Here, me: Me, sent: schemas.Empty | None = None) -> dict[str, str]:
    """Write the submitted and accepted images as an immutable store; the result has its hash."""
    me.require("reviewer")

    def work(progress: Progress) -> dict[str, Any]:
        snapshot = write_snapshot(here.project, progress=progress)
        return {"snapshot": snapshot.hash, "images": snapshot.images, "masks": snapshot.masks}

    return {"job": here.jobs.start("snapshot", {}, me, work)}


@router.post("/exports")
def start_export(here: Here, me: Me, sent: schemas.NewExport) -> dict[str, str]:
    """Write a snapshot and export it; the job's result names the file."""
    me.require("reviewer")
    check_format(sent.format)
    export_id = new_id()

    def work(progress: Progress) -> dict[str, Any]:
        snapshot = write_snapshot(here.project, progress=progress)
        result = write_export(here.project, snapshot, sent.format, export_id, progress)
        return result | {"export": export_id, "file": f"/api/exports/{export_id}/file"}

    return {"job": here.jobs.start("export", {"format": sent.format}, me, work)}


@router.get("/jobs/{job_id}")
def read_job(here: Here, job_id: AnId) -> dict[str, Any]:
    """How far a snapshot or export is."""
    return here.jobs.state(job_id)


@router.get("/exports/{export_id}/file", response_class=FileResponse)
def read_export(here: Here, me: Me, export_id: AnId) -> FileResponse:
    """The zip of an export."""
    me.require("reviewer")
    file = file_of_export(here.project, export_id)
    if not file.is_file():
        raise NotFound(f"There is no export {export_id}.")
    return FileResponse(file, media_type="application/zip", filename=f"{here.project.name}.zip")
