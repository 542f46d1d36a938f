"""A project with a few photographs, and its server without a network."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from starlette.testclient import TestClient

from samkit.annotate.app import Application, create_app
from samkit.annotate.indexing import index
from samkit.annotate.project import Project, open_project
from samkit.masks import rle

HOST = "127.0.0.1:8000"
TOKEN = "a-token-of-the-tests-that-nobody-else-has"
SIZES = ((40, 60), (30, 50), (64, 64))
"""(H, W) of the photographs."""


def make_photographs(folder: Path, count: int = 3) -> Path:
    """FOLDER/0.png, 1.png …: blocks in random colours."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        size = SIZES[number % len(SIZES)]
        picture = Image.fromarray(colours).resize(size[::-1], Image.Resampling.NEAREST)
        picture.save(folder / f"{number}.png")
    return folder


def make_value(size: tuple[int, int], seed: int = 0, **fields: Any) -> dict[str, Any]:
    """An instance as a client sends it: a random rectangle."""
    generator = np.random.default_rng(seed)
    mask = np.zeros((1, *size), bool)
    top, left = generator.integers(0, min(size) // 2, 2)
    mask[0, top : top + 1 + seed % 9, left : left + 2 + seed % 7] = True
    return {"rle": rle.encode(mask)[0], "labels": ["cat"], "seconds": 1.5} | fields


def make_operation(
    instance: str, base: int, value: dict[str, Any] | None, op: str | None = None
) -> dict[str, Any]:
    """A put, or a delete where there is no value."""
    own = {"op": op or secrets.token_urlsafe(12), "instance": instance, "base": base}
    return own | ({"kind": "delete"} if value is None else {"kind": "put", "value": value})


class Server:
    """A client of one application: `get` and `post` give (status, JSON)."""

    def __init__(self, app: Application, token: str = TOKEN) -> None:
        self.app = app
        self.http = TestClient(
            app,
            base_url=f"http://{HOST}",
            headers={"Authorization": f"Bearer {token}"},
            raise_server_exceptions=False,
        )

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        kind = {"content-type": "application/json"}
        answer = self.http.post(path, content=json.dumps(body), headers=kind)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def images(self) -> list[dict[str, Any]]:
        return list(self.get("/api/images")["images"])

    def send(
        self, image: dict[str, Any], *operations: dict[str, Any], status: int = 200
    ) -> dict[str, Any]:
        body = {"client": "tests", "operations": list(operations)}
        return dict(self.post(f"/api/images/{image['id']}/operations", body, status))

    def put(
        self, image: dict[str, Any], instance: str, base: int = 0, seed: int = 0, status: int = 200
    ) -> dict[str, Any]:
        value = make_value((image["height"], image["width"]), seed)
        return self.send(image, make_operation(instance, base, value), status=status)

    def change(
        self, image: dict[str, Any], what: str, status: int = 200, **fields: Any
    ) -> dict[str, Any]:
        """Submit, skip or review an image as it is now, if nothing else is said."""
        path = f"/api/images/{image['id']}"
        if "base" not in fields:
            fields["base"] = self.get(path)["version"]
        body = {"op": secrets.token_urlsafe(12)} | fields
        return dict(self.post(f"{path}/{what}", body, status))

    def as_person(self, name: str, role: str) -> "Server":
        """The same application for somebody else."""
        token = self.post("/api/users", {"name": name, "role": role})["token"]
        return Server(self.app, token)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three PNG files."""
    return make_photographs(tmp_path / "photographs")


@pytest.fixture
def project(tmp_path: Path, photographs: Path, database_url: str | None) -> Iterator[Project]:
    """A project with three images."""
    with open_project(tmp_path / "tests.samkit", database_url) as opened:
        index(opened.database, [photographs])
        yield opened


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    """The project's server, without a model."""
    served = Server(create_app(project, None, token=TOKEN, hosts=[HOST]))
    with served.http:  # one event loop for all requests
        yield served


Answer = tuple[int, dict[bytes, bytes], bytes]
"""Status, headers, body."""


def ask_all(app: Application, requests: list[tuple[str, str]], body: bytes = b"{}") -> list[Answer]:
    """Answers to (method, path), in one event loop and with the very bytes of the path."""

    async def ask(method: str, path: str) -> Answer:
        headers = {"host": HOST, "authorization": f"Bearer {TOKEN}"}
        if method == "POST":
            headers |= {"content-type": "application/json", "content-length": str(len(body))}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body if method == "POST" else b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), text

    async def all_of_them() -> list[Answer]:
        return [await ask(method, path) for method, path in requests]

    return in_a_thread(asyncio.run, all_of_them())


def in_a_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns; Playwright's event loop may be running in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


@pytest.fixture
def apart() -> Callable[..., Any]:
    """Calls a function that wants an event loop of its own."""
    return in_a_thread


@pytest.fixture
def asking() -> Callable[..., list[Answer]]:
    """`ask_all`."""
    return ask_all


@pytest.fixture
def operation() -> Callable[..., dict[str, Any]]:
    """`make_operation`, for tests that send odd ones."""
    return make_operation


@pytest.fixture
def value() -> Callable[..., dict[str, Any]]:
    """`make_value`."""
    return make_value


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The project's own SQLite; PostgreSQL where a test asks for it by this parameter."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    postgres = request.getfixturevalue("postgres")
    return str(postgres())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """URLs of empty databases of a PostgreSQL server that lives as long as the tests."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(binaries[-1]) if binaries else None)
    if found is None:
        pytest.skip("needs PostgreSQL's server programs (initdb, pg_ctl)")
    pytest.importorskip("psycopg")
    with PostgreSQL(Path(found).resolve().parent) as server:
        yield server.make_database


class PostgreSQL:
    """A cluster of one's own on a socket in a folder; root hands it to another user."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        # Sockets have short paths, and another user must reach the folder.
        self.folder = Path(tempfile.mkdtemp(prefix="samkit-pg-", dir="/tmp"))
        self.user = "nobody" if os.getuid() == 0 else None
        self.count = 0

    def __enter__(self) -> "PostgreSQL":
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "samkit", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run(
            "pg_ctl", "-D", data, "-w", "-l", str(self.folder / "log"), "-o", options, "start"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_database(self) -> str:
        """A schema, which is to those who connect what a database is, and made a lot quicker."""
        self.count += 1
        name = f"tests{self.count}"
        import psycopg

        address = f"postgresql://samkit@/postgres?host={self.folder}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{address}&options=-csearch_path%3D{name}"

    def _run(self, program: str, *words: str) -> None:
        answer = subprocess.run(
            [self.binaries / program, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
        )
        if answer.returncode:
            pytest.skip(f"PostgreSQL's {program} does not run here")
