"""How much memory a large result may take."""

import math
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_left() -> float:
    """Bytes that this process can still get on a Linux machine, at most; infinity elsewhere.

    What the system calls available, and what the container may have in all: without asking, a
    system promises more than there is, and ends the process when it is used.
    """
    return min(_available(), *(_number(Path(path)) for path in CGROUP_LIMITS))


def _available() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return math.inf


def _number(path: Path) -> float:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such limit, or the word "max"
        return math.inf
