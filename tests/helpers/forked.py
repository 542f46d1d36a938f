"""Processes that have their libraries from the start, forked from one that has loaded them.

A process of Python needs seconds before it has torch, and more before it can train. Tests that kill
or measure processes of their own need no such start.
"""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import IO

LIBRARIES = (
    "alembic.command",
    "fastapi",
    "numpy",
    "PIL.Image",
    "pycocotools.mask",
    "sqlalchemy.orm",
    "torch",
    "torch._dynamo",  # which every optimiser loads
    "uvicorn",
)
"""Nothing of samkit: each process loads it anew."""

PATIENCE = 300  # seconds; a busy machine is no failure

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(LIBRARIES))


class Forked:
    """Python code in a process of its own, in the current folder and environment."""

    def __init__(self, code: str, **environment: str) -> None:
        """environment: more of it."""
        (self.stdout, out), (self.stderr, err) = _pipe(), _pipe()
        variables = {**os.environ, **environment}
        self._process = _context.Process(
            target=_run, args=(code, os.getcwd(), variables, out, err), daemon=True
        )
        self._process.start()
        out.close()
        err.close()

    @classmethod
    def samkit(cls, *words: object) -> "Forked":
        """The command."""
        code = "import sys; from samkit.cli.main import main; sys.exit(main({}))"
        return cls(code.format([str(word) for word in words]))

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def poll(self) -> int | None:
        """The exit code, less than 0 where a signal ended the process; None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        """The exit code, in the end."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        assert code is not None, "the process did not end"
        return code

    def communicate(self) -> tuple[str, str]:
        """What it says on its standard output and error until its end, which comes in time."""
        impatient = threading.Timer(PATIENCE, self.kill)
        impatient.start()
        with ThreadPoolExecutor(1) as beside:
            errors = beside.submit(self.stderr.read)
            said = self.stdout.read(), errors.result()
        impatient.cancel()
        self.wait()
        return said


def _pipe() -> tuple[IO[str], Connection]:
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader:
        return os.fdopen(os.dup(reader.fileno()), encoding="utf-8"), writer


def _run(
    code: str, folder: str, environment: dict[str, str], out: Connection, err: Connection
) -> None:
    import torch

    for connection, number in ((out, 1), (err, 2)):
        os.dup2(connection.fileno(), number)
        connection.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    exec(compile(code, "<forked>", "exec"), {"__name__": "__main__"})
