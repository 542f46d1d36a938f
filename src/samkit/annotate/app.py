"""The application: routes behind the gate."""

import contextlib
from collections.abc import AsyncIterator, Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

import samkit
from samkit.annotate.access import People
from samkit.annotate.events import Events
from samkit.annotate.gate import Gate, Scheme
from samkit.annotate.jobs import Jobs
from samkit.annotate.preparing import Preparing
from samkit.annotate.project import Project
from samkit.annotate.queueing import Queue
from samkit.annotate.refusals import Refused
from samkit.annotate.routes import changes, images, model, page, project, queue
from samkit.annotate.services import Services
from samkit.errors import ImageError, SamkitError, UsageError

_ABOUT = "Every route but the page takes the header `Authorization: Bearer TOKEN`."


class Application(Gate):
    """The gate with the routes behind it, and the services that these work with."""

    def __init__(
        self, api: FastAPI, services: Services, hosts: Iterable[str], scheme: Scheme
    ) -> None:
        super().__init__(api, services.people, hosts, scheme)
        self.api = api
        self.services = services


def create_app(
    project_: Project,
    preparing: Preparing | None,
    *,
    token: str,
    hosts: Iterable[str],
    scheme: Scheme = "http",
    events: Events | None = None,
) -> Application:
    """The ASGI application of a project.

    preparing: the model's embeddings and decoder; without one, the routes that need it say 503.
    token: the admin's. hosts: what `Host` may be, such as 127.0.0.1:8000. scheme: https
    where TLS stands before this server. events: those that
    `preparing` tells of what it made.
    """
    events = Events() if events is None else events
    database = project_.database
    services = Services(
        project=project_,
        people=People(project_, token),
        queue=Queue(database),
        events=events,
        jobs=Jobs(project_, events),
        preparing=preparing,
    )

    @contextlib.asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        yield
        events.close()
        services.jobs.close()

    api = FastAPI(
        title="samkit annotator",
        version=samkit.__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    api.state.services = services
    for routes in (page, project, images, changes, queue, model):
        api.include_router(routes.router)
    _answer_errors(api)
    return Application(api, services, hosts, scheme)


def _answer_errors(api: FastAPI) -> None:
    """Every error is {"error": SENTENCE}."""

    @api.exception_handler(SamkitError)
    def known(request: Request, error: SamkitError) -> JSONResponse:
        if isinstance(error, Refused):
            status = error.status
        elif isinstance(error, UsageError):
            status = 400
        else:
            status = 422 if isinstance(error, ImageError) else 500
        return JSONResponse({"error": str(error)}, status)

    @api.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if first["loc"][0] == "path":
            return JSONResponse({"error": "There is no such thing."}, 404)
        if first["type"] == "json_invalid":
            return JSONResponse({"error": "The body is not JSON."}, 400)
        return JSONResponse({"error": f"{place or 'The body'}: {first['msg']}."}, 422)

    @api.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)

    @api.exception_handler(OperationalError)
    def database(request: Request, error: OperationalError) -> JSONResponse:
        reason = " ".join(str(error.orig).split())
        sentence = f"The database cannot be used just now ({reason}); nothing of this was saved."
        return JSONResponse({"error": sentence}, 503)

    @api.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The server has a fault; see its output."}, 500)
