"""The tables of a project's database.

Times are seconds since 1970 (UTC). Ids are opaque: random, or chosen by the client, never a path.
`operations` and `transitions` only ever grow; the database itself refuses to change their rows.
"""

import secrets
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_Number = Integer().with_variant(BigInteger(), "postgresql")  # SQLite counts only INTEGER up itself

APPEND_ONLY = ("operations", "transitions")
"""Tables whose rows are never changed and never removed."""


def new_id() -> str:
    """A fresh opaque id: 22 characters, 128 bits."""
    return secrets.token_urlsafe(16)


class Base(DeclarativeBase):
    """What all tables share."""


class User(Base):
    """A person: annotator, reviewer or admin; known by the hash of a token."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    token_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    at: Mapped[float] = mapped_column(Float)
    starter: Mapped[str | None] = mapped_column(Text)
    """Of whoever starts a project's server: the project's id and their name on that machine."""

    __table_args__ = (Index("users_by_starter", "starter", unique=True),)


class Image(Base):
    """One photograph, whatever names it lies under."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    position: Mapped[int] = mapped_column(Integer, unique=True)
    name: Mapped[str] = mapped_column(Text)
    """The file's name, for people."""
    kind: Mapped[str] = mapped_column(String(20))
    """Pillow's name of the file's format."""
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(20), default="unlabelled")
    version: Mapped[int] = mapped_column(Integer, default=0)
    """Counts accepted operations and changes of state."""
    instances: Mapped[int] = mapped_column(Integer, default=0)
    """How many masks there are."""

    __table_args__ = (Index("images_by_state", "state", "position"),)


class Location(Base):
    """A place where an image's file was seen; several for one image where there are copies."""

    __tablename__ = "locations"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)


class Instance(Base):
    """A mask as it is now; a deleted one stays, so that its version goes on counting."""

    __tablename__ = "instances"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    deleted: Mapped[bool] = mapped_column(default=False)
    editor: Mapped[str] = mapped_column(String(200))
    value: Mapped[dict[str, Any]] = mapped_column(JSON)


class Operation(Base):
    """A change that a client sent, whether it was accepted or met a newer version."""

    __tablename__ = "operations"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    op: Mapped[str] = mapped_column(String(64), unique=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"))
    instance_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(10))
    base: Mapped[int] = mapped_column(Integer)
    value: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[str] = mapped_column(String(10))
    """accepted or conflict."""
    version: Mapped[int] = mapped_column(Integer)
    """Of the instance, afterwards."""
    current: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What stood there instead, where it is a conflict."""
    editor: Mapped[str] = mapped_column(String(200))
    client: Mapped[str] = mapped_column(String(64))
    at: Mapped[float] = mapped_column(Float)

    __table_args__ = (
        Index("operations_by_image", "image_id", "status", "number"),
        {"sqlite_autoincrement": True},
    )


class Transition(Base):
    """A change of an image's state: who, when, from what to what, and why."""

    __tablename__ = "transitions"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    before: Mapped[str] = mapped_column(String(20))
    after: Mapped[str] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(Text)
    """The reason of a skip, the comment of a review."""
    seconds: Mapped[float] = mapped_column(Float)
    """Active seconds on the image, as the page counted them."""
    editor: Mapped[str] = mapped_column(String(200))
    at: Mapped[float] = mapped_column(Float)
    op: Mapped[str | None] = mapped_column(String(64))
    """Id of the request; None where a change of masks brought the image there."""
    version: Mapped[int | None] = mapped_column(Integer)
    """Of the image, afterwards."""

    __table_args__ = (
        Index("transitions_by_op", "op", unique=True),
        {"sqlite_autoincrement": True},
    )


class Lease(Base):
    """Who works on an image just now; it runs out by itself."""

    __tablename__ = "leases"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    expires: Mapped[float] = mapped_column(Float)


class Job(Base):
    """A snapshot or an export that was asked for."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, default=new_id)
    project: Mapped[str] = mapped_column(String(64))
    """Id of the project whose server does it; several may share a database."""
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    """waiting, running, done or failed."""
    wanted: Mapped[dict[str, Any]] = mapped_column(JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    editor: Mapped[str] = mapped_column(String(200))
    at: Mapped[float] = mapped_column(Float)
