"""One server from its start to its end: photographs in, the address out, a clean stop."""

import contextlib
import functools
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from samkit.annotate.access import (
    Role,
    add_person,
    has_accounts,
    is_loopback,
    new_token,
    owner_of,
)
from samkit.annotate.ahead import Precomputing, Watch
from samkit.annotate.app import Application, create_app
from samkit.annotate.embeddings import Cache
from samkit.annotate.events import Events
from samkit.annotate.gate import Scheme
from samkit.annotate.importing import Imported, ImportStage, import_dataset, open_for
from samkit.annotate.indexing import Indexed, index
from samkit.annotate.model_process import ModelChoice
from samkit.annotate.preparing import Preparing
from samkit.annotate.project import FILE, Project, open_project
from samkit.errors import UsageError

_GRACE_SECONDS = 5  # for requests that run when the server is told to stop


@dataclass(frozen=True, kw_only=True)
class Import:
    """A dataset whose masks come into the project before it is served."""

    dataset: Path
    stage: ImportStage = "imported"
    images: Path | None = None
    """Where the dataset's images lie, if not in the usual place and not the project's own."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A server as the command line asks for it."""

    photos: list[Path]
    folder: Path
    database: str | None = None
    """URL of a PostgreSQL database."""
    model: ModelChoice | None = None
    """None: a server without embeddings, for those who bring their own."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: any that is free."""
    cache_bytes: int = 10 << 30
    precompute: bool = False
    imports: Import | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """Whom to tell what happens before the server answers."""

    indexed: Callable[[Indexed], None] = lambda result: None
    """What the photographs brought."""
    imported: Callable[[Imported], None] = lambda result: None
    """What the dataset brought."""
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    """Called with "photographs" or "labelled images", how many were looked at, how many in all."""
    precomputing: Watch = lambda total: contextlib.nullcontext()
    """Watches embeddings that are made ahead."""


def serve(job: Job, ready: Callable[[str], None], report: Report | None = None) -> None:
    """Serve a project until SIGINT or SIGTERM.

    ready: called with the address, token included, once it answers.
    Raises UsageError and CheckpointError before `ready` where something is not as it must be.
    """
    _check_host(job)
    with _listening(job.host, job.port) as listener, _filled(job, report) as own:
        events = Events()
        with _preparing(job, own, events) as preparing:
            bound, port = listener.getsockname()[:2]
            scheme, hosts = _names(bound if is_loopback(job.host) else job.host, port)
            token = new_token()
            app = create_app(own, preparing, token=token, hosts=hosts, scheme=scheme, events=events)
            address = f"{scheme}://{hosts[0]}/#token={token}"
            with contextlib.ExitStack() as ahead:

                def answering() -> None:
                    ready(address)
                    if job.precompute and preparing is not None:
                        ahead.enter_context(_precomputing(own, preparing, events, report))

                _Server(app, answering).run([listener])


def fill(job: Job, report: Report | None = None) -> None:
    """Take photographs and masks into a project without serving it. Raises UsageError."""
    with _filled(job, report):
        pass


def embed_all(job: Job, report: Report | None = None) -> bool:
    """Take in photographs and masks, and embed all images; whether all embeddings are there.

    Raises UsageError and CheckpointError.
    """
    events = Events()
    with _filled(job, report) as own, _preparing(job, own, events) as preparing:
        if preparing is None:
            raise UsageError("Embeddings need a model.")
        with _precomputing(own, preparing, events, report) as ahead:
            ahead.wait()
            return not ahead.failed and not ahead.left


def admit(job: Job, name: str, role: Role) -> str:
    """The address of a new person of a project, which may be served at the same time.

    Where the job has no port, it is the address's end alone.
    Raises NotUsable for a name that is in use or odd, UsageError.
    """
    with open_project(job.folder, job.database, alone=False) as own:
        token = add_person(own.database, name, role)
    scheme, hosts = _names(job.host, job.port)
    known = job.port or scheme == "https"
    return f"{scheme}://{hosts[0]}/#token={token}" if known else f"#token={token}"


def _check_host(job: Job) -> None:
    """Raises UsageError for an address that other machines reach, unless people have accounts."""
    if is_loopback(job.host):
        return
    if (job.folder / FILE).is_file():
        with open_project(job.folder, job.database, alone=False) as own:
            if has_accounts(own.database):
                return
    raise UsageError(
        f"samkit annotate listens on this machine only, not on {job.host}, as long as nobody has "
        "an account (--add-person); from another machine use ssh -L PORT:127.0.0.1:PORT."
    )


def _names(host: str, port: int) -> tuple[Scheme, list[str]]:
    """How pages ask, and what they may call this server; the first is the usual name.

    For other machines TLS stands before it, under the host's name alone.
    """
    name = f"[{host}]" if ":" in host else host.lower()
    if is_loopback(host):
        return "http", [f"{name}:{port}", f"localhost:{port}"]
    return "https", [name, f"{name}:{port}"]


@contextlib.contextmanager
def _filled(job: Job, report: Report | None) -> Iterator[Project]:
    """The project, with the photographs and masks of the job in it."""
    report = report or Report()
    with open_project(job.folder, job.database) as own:
        look = functools.partial(report.progress, "photographs")
        report.indexed(index(own.database, job.photos, look))
        if job.imports is not None:
            wish = job.imports
            reader = open_for(own.database, wish.dataset, wish.images)
            look = functools.partial(report.progress, "labelled images")
            person = owner_of(own)
            report.imported(import_dataset(own.database, reader, person, wish.stage, look))
        yield own


class _Server(uvicorn.Server):
    """Says when it is ready, and ends streams that would go on for ever when it is told to stop."""

    def __init__(self, app: Application, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop."""
        self._app.services.events.close()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal is the ordinary way to end; unlike uvicorn, nothing is raised again after it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"Cannot listen on {host}:{port}: {reason}; try another --port."
        ) from error
    with listener:
        if ipaddress.ip_address(listener.getsockname()[0]).is_unspecified:
            raise UsageError(f"--host must be one address or name of this machine, not {host!r}.")
        yield listener


@contextlib.contextmanager
def _preparing(job: Job, project: Project, events: Events) -> Iterator[Preparing | None]:
    if job.model is None:
        yield None
        return
    preparing = Preparing(
        job.model,
        Cache(project.cache, job.cache_bytes),
        project.decoder,
        lambda image_id: events.publish({"kind": "prepared", "image": image_id}),
    )
    with contextlib.closing(preparing):
        yield preparing


def _precomputing(
    project: Project, preparing: Preparing, events: Events, report: Report | None
) -> contextlib.closing[Precomputing]:
    watch = (report or Report()).precomputing
    return contextlib.closing(Precomputing(project.database, preparing, events, watch))
