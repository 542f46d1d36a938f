"""How much memory a large result may take."""

import math
from pathlib import Path

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "anon"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "total_rss"),
)
"""Where the limit of a container stands, and what `memory.stat` beside it calls the memory in use
that cannot be had by forgetting copies of files: control groups of version 2 and 1."""


def memory_left() -> float:
    """Bytes that this process can still get on a Linux machine, at most; infinity elsewhere.

    What the system calls available, and what is left of a container's limit: without asking, a
    system promises more than there is, and ends the process when it is used.
    """
    available = _table(Path("/proc/meminfo")).get("MemAvailable", math.inf) * 1024
    return min(available, *(_left(Path(limit), in_use) for limit, in_use in CGROUPS))


def _left(limit: Path, in_use: str) -> float:
    try:
        most = int(limit.read_text())
    except (OSError, ValueError):  # no such limit, or the word "max"
        return math.inf
    return max(0, most - _table(limit.with_name("memory.stat")).get(in_use, 0))


def _table(path: Path) -> dict[str, int]:
    """The numbers of a file of lines "name number" or "name: number unit", by name."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
