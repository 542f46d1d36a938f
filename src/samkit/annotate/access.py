"""Who may ask: tokens, people and their roles.

A token has 256 random bits. The one that is printed at the start is the admin's and lives as long
as the server; those of other people are kept as SHA-256 only.
"""

import getpass
import hashlib
import hmac
import ipaddress
import itertools
import secrets
import time
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samkit.annotate.database import Database
from samkit.annotate.limits import MAX_NAME, checked_text
from samkit.annotate.project import Project
from samkit.annotate.refusals import Forbidden, NotAllowedNow, NotUsable
from samkit.annotate.tables import User

Role = Literal["annotator", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

_TOKEN_BYTES = 32
_LONGEST_TOKEN = 200
_TRIES = 20  # several servers may start on one PostgreSQL at the same moment


@dataclass(frozen=True)
class Person:
    """Who asks."""

    id: str
    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this person has at least a role."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def require(self, role: str) -> None:
        """Raises Forbidden where the person has less than a role."""
        if not self.may(role):
            raise Forbidden(f"This takes the role {role}; {self.name} is {self.role}.")


def new_token() -> str:
    """A fresh token of 256 bits, as 43 characters that an URL holds."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class People:
    """Those who have a token of a project."""

    def __init__(self, project: Project, token: str) -> None:
        """token: the admin's, printed at the start."""
        self._database = project.database
        self._digest = _digest(token)
        self._owner = owner_of(project)

    def who(self, token: str) -> Person | None:
        """Whose token it is; nobody's if None. Takes as long for a wrong one as for a right one."""
        if len(token) > _LONGEST_TOKEN:
            return None
        digest = _digest(token)
        if hmac.compare_digest(digest, self._digest):
            return self._owner
        with self._database.read() as session:
            user = session.scalar(select(User).where(User.token_sha256 == digest))
        if user is None or not hmac.compare_digest(digest, user.token_sha256 or ""):
            return None
        return Person(user.id, user.name, user.role)


def add_person(database: Database, name: str, role: Role) -> str:
    """A new person's token, which can't be read again.

    Raises NotUsable for a name that somebody has, or that is none.
    """
    try:
        checked_text(name)
    except ValueError as error:
        raise NotUsable(f"The name {error}.") from error
    if not name.strip() or len(name) > MAX_NAME:
        raise NotUsable(f"A name has 1 to {MAX_NAME} characters.")
    token = new_token()
    try:
        with database.write() as session:
            session.add(User(name=name, role=role, token_sha256=_digest(token), at=time.time()))
    except IntegrityError as error:
        raise NotUsable(f"There is somebody called {name} already.") from error
    return token


def has_accounts(database: Database) -> bool:
    """Whether somebody has a token besides those who start servers."""
    with database.read() as session:
        return bool(session.scalar(select(exists().where(User.token_sha256.is_not(None)))))


def owner_of(project: Project) -> Person:
    """The admin: whoever runs the project's server, by the name they have on that machine.

    Where projects share a database and somebody else has the name, it gets a number.
    """
    name = _own_name()
    starter = f"{project.id}/{name}"
    for _ in range(_TRIES):
        try:
            with project.database.write() as session:
                user = session.scalar(select(User).where(User.starter == starter))
                if user is None:
                    user = _new_starter(session, name)
                    user.starter = starter
                    session.flush()
                return Person(user.id, user.name, "admin")
        except IntegrityError:  # another server was quicker
            continue
    raise NotAllowedNow("Many servers start on this database at the same moment; try again.")


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _new_starter(session: Session, name: str) -> User:
    old = (User.name == name, User.token_sha256.is_(None), User.starter.is_(None))
    known = session.scalar(select(User).where(*old))  # from before starters had a project
    if known is not None:
        return known
    similar = User.name.startswith(name, autoescape=True)
    used = set(session.scalars(select(User.name).where(similar)))
    names = itertools.chain([name], (f"{name} {number}" for number in itertools.count(2)))
    free = next(each for each in names if each not in used)
    user = User(name=free, role="admin", token_sha256=None, at=time.time())
    session.add(user)
    return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _own_name() -> str:
    try:
        return getpass.getuser()[: MAX_NAME - 10]  # a number may follow
    except (OSError, KeyError):  # a user of the system without a name
        return "admin"
