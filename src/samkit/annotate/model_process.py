"""The server's end of the process that has the model: start, ask, notice its death."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from samkit.errors import CheckpointError, SamkitError


class ProcessDied(SamkitError):
    """The process ended in the middle of a task."""


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and where it runs; as `samkit.load` has them."""

    model: str = "default"
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True)
class ModelInfo:
    """The model that was loaded; img_size: side of its input in pixels."""

    id: str
    name: str
    img_size: int


class ModelProcess:
    """A process with a model; one task at a time, from one thread."""

    def __init__(self, choice: ModelChoice) -> None:
        self._choice = choice
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> ModelInfo:
        """Start it, or start it again, and wait for its model.

        Raises CheckpointError where the model cannot be loaded.
        """
        self.stop()
        words = [self._choice.model, self._choice.device, self._choice.dtype]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "samkit.annotate.worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is the server's to answer
        )
        hello = self._answer(self._process)
        if "error" in hello:
            self.stop()
            raise CheckpointError(hello["error"])
        return ModelInfo(**hello)

    def ask(self, task: dict[str, Any]) -> None:
        """Have a task done. Raises SamkitError where it cannot be, ProcessDied."""
        process = self._process
        if process is None or process.stdin is None:
            raise ProcessDied("The process that makes embeddings is not running.")
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ProcessDied("The process that makes embeddings has ended.") from error
        answer = self._answer(process)
        if "error" in answer:
            raise SamkitError(answer["error"])

    def stop(self) -> None:
        """End the process; whatever it does is lost."""
        process = self._process
        self._process = None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _answer(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            return dict(json.loads(line))
        except (OSError, ValueError) as error:  # nothing or half a line: it is dead
            raise ProcessDied(
                "The process that makes embeddings has ended; perhaps the memory was too small."
            ) from error
