"""The database of a project: SQLite in its folder, or PostgreSQL by URL.

SQLite runs with a write-ahead log and synchronous=FULL, so that a commit that was acknowledged is
on the disk. Whoever writes takes the lock at once (BEGIN IMMEDIATE) and keeps it briefly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session

from samkit.errors import UsageError

BUSY_SECONDS = 15
"""How long a write waits for another process before it gives up."""

_MIGRATIONS = Path(__file__).with_name("migrations")
_WRITING = "samkit_writing"
_MIGRATION_LOCK = 0x5A4D4B49  # any number that all samkits share


class Database:
    """Sessions that read and sessions that write; the tables are of this samkit's version."""

    def __init__(self, url: str) -> None:
        """url: as SQLAlchemy has it, sqlite:///FILE or postgresql+psycopg://…; migrates on start.

        Raises UsageError where it cannot be opened, or was made by a newer samkit.
        """
        self.engine = _engine(url)
        try:
            self._migrate()
        except (OperationalError, DatabaseError) as error:
            self.engine.dispose()
            reason = " ".join(str(error.orig).split())
            raise UsageError(
                f"Cannot open the database {self.name}: {reason}; check the place and its rights."
            ) from error

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the whole database and changes nothing."""
        with Session(self.engine) as session:
            if not self.is_sqlite:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are on the disk when the block ends, or undone if it fails."""
        with Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={_WRITING: True})
            yield session
            session.commit()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file, in which only one writes at a time."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        options = {_WRITING: True}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            if not self.is_sqlite:  # SQLite's lock is held already
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            found = MigrationContext.configure(connection).get_current_heads()
            if not set(found) <= known:
                raise UsageError(
                    f"The database {self.name} was made by a newer samkit (version "
                    f"{', '.join(found)}); install that one to open it."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def sqlite_url(file: Path) -> str:
    """The URL of a database in a file."""
    return f"sqlite:///{file}"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        sentence = f"{url!r} is no URL of a database; use postgresql://USER@HOST/NAME."
        raise UsageError(sentence) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        arguments: dict[str, Any] = {"client_encoding": "utf8"}
        return create_engine(
            parsed, connect_args=arguments, pool_size=10, max_overflow=30, pool_pre_ping=True
        )
    if parsed.drivername != "sqlite":
        raise UsageError(f"Databases are SQLite or PostgreSQL, not {parsed.drivername}.")
    arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(parsed, connect_args=arguments, pool_size=10, max_overflow=30)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
