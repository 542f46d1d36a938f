"""Who may ask: tokens, people and their roles.

A token has 256 random bits. The one that is printed at the start is the admin's and lives as long
as the server; those of other people are kept as SHA-256 only.
"""

import getpass
import hashlib
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from samkit.annotate.database import Database
from samkit.annotate.refusals import Forbidden, NotUsable
from samkit.annotate.tables import User
from samkit.errors import UsageError

ROLES = ("annotator", "reviewer", "admin")
"""Each may do what those before it may."""

_TOKEN_BYTES = 32
_LONGEST_TOKEN = 200


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

    def __init__(self, database: Database, token: str) -> None:
        """token: the admin's, printed at the start."""
        self._database = database
        self._digest = _digest(token)
        self._owner = owner_of(database)

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

    def add(self, name: str, role: str) -> str:
        """A new person's token, which can't be read again. Raises NotUsable for a name in use."""
        token = new_token()
        try:
            with self._database.write() as session:
                session.add(User(name=name, role=role, token_sha256=_digest(token), at=time.time()))
        except IntegrityError as error:
            raise NotUsable(f"There is somebody called {name} already.") from error
        return token


def owner_of(database: Database) -> Person:
    """The admin: whoever runs the server on this machine, by the name they have there."""
    name = _own_name()
    with database.write() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            user = User(name=name, role="admin", token_sha256=None, at=time.time())
            session.add(user)
            session.flush()
        return Person(user.id, user.name, "admin")


def require_loopback(host: str) -> None:
    """Raises UsageError for an address that other machines reach.

    Everything, the token too, goes over plain HTTP, and there are no passwords.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"samkit annotate listens on this machine only, not on {host}; from another one use "
            "ssh -L PORT:127.0.0.1:PORT."
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _own_name() -> str:
    try:
        return getpass.getuser()[:200]
    except (OSError, KeyError):  # a user of the system without a name
        return "admin"
