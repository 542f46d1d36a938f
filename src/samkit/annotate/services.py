"""What the routes work with, and how they get at it."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from samkit.annotate import limits
from samkit.annotate.access import People, Person
from samkit.annotate.events import Events
from samkit.annotate.jobs import Jobs
from samkit.annotate.preparing import Preparing
from samkit.annotate.project import Project
from samkit.annotate.queueing import Queue


@dataclass(frozen=True)
class Services:
    """Everything behind the routes; one for each application."""

    project: Project
    people: People
    queue: Queue
    events: Events
    jobs: Jobs
    preparing: Preparing | None
    """Embeddings and decoder; None where the server runs without a model."""


def services_of(request: Request) -> Services:
    """The application's services."""
    return cast(Services, request.app.state.services)


def person_of(request: Request) -> Person:
    """Who asks; the gate has put it there."""
    return cast(Person, request.state.person)


Here = Annotated[Services, Depends(services_of)]
Me = Annotated[Person, Depends(person_of)]
AnId = Annotated[str, Path(pattern=limits.ID)]
