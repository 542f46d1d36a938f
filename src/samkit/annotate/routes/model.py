"""What the model makes: embeddings of images, and the decoder that the page runs itself."""

import asyncio
from concurrent.futures import CancelledError, Future
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response

from samkit.annotate.ahead import prepare_next, source_of
from samkit.annotate.embeddings import Crop
from samkit.annotate.preparing import Preparing, Source, Urgency
from samkit.annotate.refusals import NotFound, NotReady, NotUsable
from samkit.annotate.services import AnId, Here, Services
from samkit.annotate.worker import DECODER_FILES

router = APIRouter(prefix="/api", tags=["model"])

_SMALLEST = 16  # pixels of a crop's side
_MEDIA = {"onnx": "application/octet-stream", "json": "application/json"}


@router.get("/images/{image_id}/embedding", response_class=Response)
async def read_embedding(
    here: Here,
    image_id: AnId,
    crop: Annotated[str | None, Query(pattern=r"^\d{1,6}(,\d{1,6}){3}$")] = None,
) -> Response:
    """The embedding of an image or of a crop x0,y0,x1,y1; waits until it is made.

    The format of the bytes is that of samkit.annotate.embeddings.
    """
    preparing = _preparing(here)
    source = await run_in_threadpool(_source, here, image_id)
    part = source.whole if crop is None else _checked_crop(crop, source)
    key = preparing.key(source.sha256, part)
    for _ in range(2):  # a file that turns out to be damaged is made anew
        await _wait(preparing.embed(source, part, Urgency.INTERACTIVE))
        data = await run_in_threadpool(preparing.cache.get, key)
        if data is not None:
            if crop is None:
                await run_in_threadpool(prepare_next, here, image_id)
            return Response(data, media_type="application/octet-stream")
    raise NotReady("The embedding cannot be kept on the disk; see whether it is full.")


@router.get("/decoder/{name}", response_class=FileResponse)
async def read_decoder(here: Here, name: Annotated[str, "one of three"]) -> FileResponse:
    """A file of the decoder: decoder.onnx, image.onnx or constants.json."""
    if name not in DECODER_FILES:
        raise NotFound("There is no such file of the decoder.")
    folder, ready = _preparing(here).decoder()
    await _wait(ready)
    return FileResponse(folder / name, media_type=_MEDIA[name.rsplit(".", 1)[1]])


def _preparing(here: Services) -> Preparing:
    if here.preparing is None:
        raise NotReady("This server runs without a model.")
    return here.preparing


def _source(here: Services, image_id: str) -> Source:
    with here.project.database.read() as session:
        return source_of(session, image_id)


def _checked_crop(text: str, source: Source) -> Crop:
    x0, y0, x1, y1 = (int(number) for number in text.split(","))
    height, width = source.size
    if not (x1 <= width and y1 <= height and x1 - x0 >= _SMALLEST and y1 - y0 >= _SMALLEST):
        raise NotUsable(
            f"The crop must lie in the image of {width} x {height} pixels and have sides of at "
            f"least {_SMALLEST}."
        )
    return x0, y0, x1, y1


async def _wait(future: "Future[None]") -> None:
    """Others may wait for the same future, so that it is not cancelled with this request."""
    try:
        await asyncio.shield(asyncio.wrap_future(future))
    except CancelledError as error:
        raise NotReady("The server is about to stop.") from error
