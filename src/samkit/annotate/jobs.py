"""Work that takes longer than a request: one at a time, its state in the database."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import update

from samkit.annotate.access import Person
from samkit.annotate.events import Events
from samkit.annotate.project import Project
from samkit.annotate.refusals import NotFound
from samkit.annotate.tables import Job
from samkit.errors import SamkitError

Progress = Callable[[int, int], None]
Work = Callable[[Progress], dict[str, Any]]
"""Does the job, reports (done, total), and returns what the client shall see of it."""


class Jobs:
    """Runs jobs in their order."""

    def __init__(self, project: Project, events: Events) -> None:
        """Jobs that an earlier server of the same project left unfinished are failed."""
        self._project = project.id
        self._database = database = project.database
        self._events = events
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        with database.write() as session:
            session.execute(
                update(Job)
                .where(Job.project == project.id, Job.state.in_(("waiting", "running")))
                .values(state="failed", error="The server was stopped; ask for it again.")
            )

    def start(self, kind: str, wanted: dict[str, Any], person: Person, work: Work) -> str:
        """Put a job into the queue; returns its id."""
        job = Job(
            project=self._project,
            kind=kind,
            state="waiting",
            wanted=wanted,
            editor=person.name,
            at=time.time(),
        )
        with self._database.write() as session:
            session.add(job)
        self._thread.submit(self._run, job.id, kind, work)
        return job.id

    def state(self, job_id: str) -> dict[str, Any]:
        """{id, kind, state, wanted, result, error, editor, at}. Raises NotFound."""
        with self._database.read() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise NotFound(f"There is no job {job_id}.")
            names = ("id", "kind", "state", "wanted", "result", "error", "editor", "at")
            return {name: getattr(job, name) for name in names}

    def close(self) -> None:
        """Waits for the job that runs; the others stay undone."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, job_id: str, kind: str, work: Work) -> None:
        def tell(state: str, **more: Any) -> None:
            self._events.publish({"kind": "job", "id": job_id, "job": kind, "state": state} | more)

        def progress(done: int, total: int) -> None:
            tell("running", done=done, total=total)

        self._set(job_id, state="running")
        tell("running")
        try:
            result = work(progress)
        except SamkitError as error:
            self._set(job_id, state="failed", error=str(error))
            tell("failed", error=str(error))
        except Exception as error:
            sentence = f"The {kind} failed ({type(error).__name__}: {error})."
            self._set(job_id, state="failed", error=sentence)
            tell("failed", error=sentence)
        else:
            self._set(job_id, state="done", result=result)
            tell("done")

    def _set(self, job_id: str, **values: Any) -> None:
        with self._database.write() as session:
            session.execute(update(Job).where(Job.id == job_id).values(**values))
