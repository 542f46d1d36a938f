"""What TensorBoard shows of a run."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from samkit.files import writing


class Board:
    """A file of TensorBoard's events, written step by step.

    Not torch's SummaryWriter: its thread prints a traceback where the disk is full. Raises
    SamkitError where the file cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """step: the number of steps that the run has done; what older files have beyond it is not
        shown any more."""
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def note(self, step: int, seen: Mapping[str, float]) -> None:
        """Adds what was measured in a step."""
        values = [Summary.Value(tag=key, simple_value=value) for key, value in seen.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Ends the file."""
        with writing(self.path):
            self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with writing(self.path):
            self._records.write(event.SerializeToString())
