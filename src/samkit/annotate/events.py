"""What happens, told at once to every open page."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

KEEP_ALIVE_SECONDS = 15.0
"""After so long without an event a comment is sent, so that a dead connection is noticed."""

_WAITING = 256


class Events:
    """Hands events to all who listen; those who do not keep up lose the oldest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Queue[bytes | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def publish(self, event: dict[str, Any]) -> None:
        """Tell an event; from any thread."""
        self._give(b"data: " + json.dumps(event).encode() + b"\n\n")

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._give(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Events as text/event-stream, until the server stops or the reader goes away."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield b": hello\n\n"
            while not self._closed:
                try:
                    event = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        finally:
            with self._lock:
                self._listeners.pop(queue, None)

    def _give(self, text: bytes | None) -> None:
        with self._lock:
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(_put, queue, text)


def _put(queue: "asyncio.Queue[bytes | None]", text: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(text)
