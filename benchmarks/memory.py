"""Memory of the ViT-B encoder: the peak while it runs, above that of the loaded model (Linux).

    python benchmarks/memory.py --official PYTHON [--quick]

Every run has a process of its own, and the default allocator. Bar: at most a fifth of what
segment-anything 1.0 takes.
"""

import sys
from statistics import median
from typing import Any

from side_by_side import options, raw, report, verdict


def main(arguments: list[str] | None = None) -> int:
    """Runs it; 1 where the bar is missed."""
    told = options(__doc__, 3, arguments)
    extra: dict[str, list[float]] = {"official": [], "samkit": []}
    hello: list[dict[str, Any]] = []
    for _ in range(told.runs):
        hello = []
        for side in told.pair():
            with side:
                hello.append(side.ask("hello"))
                extra[hello[-1]["package"]].append(side.ask("memory")["extra_mb"])
    official, samkit = (median(values) for values in extra.values())
    share = samkit / official
    report(
        "Encoder ViT-B, extra memory in MB",
        [
            ("", "median", "share", "runs"),
            ("official", f"{official:.0f}", "1", raw(extra["official"], 0)),
            ("samkit", f"{samkit:.0f}", f"{share:.3f}", raw(extra["samkit"], 0)),
        ],
        hello,
    )
    return int(not verdict("share of the official memory", share, 0.2, at_least=False))


if __name__ == "__main__":
    sys.exit(main())
