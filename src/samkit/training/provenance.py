"""What a run's weights say of where they come from, over all the times it was taken up."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samkit.errors import UsageError


def joined(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The provenance of a run that goes on.

    before: of its state. now: of this time, whose values count but for two: `init` stays what the
    run began from, and `data` ({source: images}) has every source that was ever learned from, with
    the most images that it had.
    Raises UsageError where another `init` is asked for than the run began from.
    """
    both = {**before, **now}
    if "init" in before:
        first, asked = before["init"], now.get("init")
        if asked is not None and (first is None or _place(first) != _place(asked)):
            raise UsageError(
                f"{folder} holds a run that began from {first or 'random weights'} and goes on "
                "from its own; leave --init out, or choose another folder."
            )
        both["init"] = first
    if "data" in before and "data" in now:
        both["data"] = {
            source: max(data[source] for data in (before["data"], now["data"]) if source in data)
            for source in before["data"] | now["data"]
        }
    return both


def _place(init: str) -> str:
    return os.path.realpath(init)
