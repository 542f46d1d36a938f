"""kill -9 at any moment: what was acknowledged is there."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from samkit.annotate.client import Client, ServerError
from samkit.annotate.project import open_project
from samkit.annotate.tables import Instance, Operation
from samkit.masks import rle

_SERVER = """
from pathlib import Path
from samkit.annotate.serving import Job, serve
serve(
    Job(photos=[Path({!r})], folder=Path({!r})),
    lambda address: print(address, flush=True),
)
"""


@contextmanager
def running(forked: Any, photographs: Path, folder: Path) -> Iterator[tuple[Any, str]]:
    """A real server without a model, and its address."""
    process = forked(_SERVER.format(str(photographs), str(folder)))
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def operations_of(name: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Puts, changes and deletes without end; each on top of the one before."""
    for number in range(1_000_000):
        mask = np.zeros((1, 40, 60), bool)
        mask[0, : 1 + number % 40, : 1 + chance.randrange(60)] = True
        value = {"rle": rle.encode(mask)[0], "labels": [f"{name}-{number}"]}
        own = {"op": f"{name}-{number}", "instance": f"{name}-{number // 3}", "base": number % 3}
        if number % 9 == 8:
            yield own | {"kind": "delete"}
        else:
            yield own | {"kind": "put", "value": value}


class Annotator(threading.Thread):
    """Saves one change after the other until the server is gone; knows what was acknowledged."""

    def __init__(self, address: str, image: str, name: str, seed: int) -> None:
        super().__init__()
        self.client = Client(address, name)
        self.image, self.seed = image, seed
        self.acknowledged: list[dict[str, Any]] = []
        self.pending: dict[str, Any] | None = None

    def run(self) -> None:
        for operation in operations_of(self.client.name, random.Random(self.seed)):
            self.pending = operation
            try:
                (result,) = self.client.operate(self.image, [operation])
            except (ServerError, OSError, EOFError):
                return
            assert result["status"] == "accepted", result
            self.acknowledged.append(operation)
            self.pending = None


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 50))]
)
def test_what_was_acknowledged_survives(tmp_path, photographs, forked, seed):
    folder, chance = tmp_path / "p", random.Random(seed)
    with running(forked, photographs, folder) as (process, address):
        image = next(i["id"] for i in Client(address).images() if i["name"] == "0.png")
        people = [Annotator(address, image, name, seed) for name in ("ann", "bob")]
        for person in people:
            person.start()
        deadline = time.monotonic() + 120
        while min(len(p.acknowledged) for p in people) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.5)
        process.kill()
        for person in people:
            person.join()
    with open_project(folder) as project, project.database.read() as session:
        check = session.connection().exec_driver_sql("PRAGMA integrity_check").scalar()
        log = {row.op: row for row in session.scalars(select(Operation))}
        instances = {row.id: row for row in session.scalars(select(Instance))}
    assert check == "ok"
    for person in people:
        assert len(person.acknowledged) >= 3
        for operation in person.acknowledged:
            row = log.pop(operation["op"])
            assert (row.status, row.instance_id) == ("accepted", operation["instance"])
            assert (row.value or {}).get("rle") == operation.get("value", {}).get("rle")
            assert instances[row.instance_id].version >= row.version
        last = person.acknowledged[-1]
        if person.pending is None or person.pending["op"] not in log:
            assert instances[last["instance"]].deleted == (last["kind"] == "delete")
    assert set(log) <= {p.pending["op"] for p in people if p.pending}  # saved, not yet answered
    with running(forked, photographs, folder) as (_, address):
        for person in people:
            client = Client(address, person.client.name)
            sent = person.acknowledged[-1:] + ([person.pending] if person.pending else [])
            for operation in sent:  # as the page's journal does after a restart
                (result,) = client.operate(image, [operation])
                known = operation["op"] in log or operation in person.acknowledged
                assert result["status"] == ("duplicate" if known else "accepted")
