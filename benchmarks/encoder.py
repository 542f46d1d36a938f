"""ViT-B image encoder, float32, 1024 x 1024; and the default model's encoder at 512 x 512.

    python benchmarks/encoder.py --official PYTHON [--quick]

Bars: 1.7 times as fast as segment-anything 1.0 (aim 2); the default model within 0.4 s.
"""

import sys
from statistics import median

from side_by_side import (
    alternate,
    difference,
    options,
    ratio_of,
    raw,
    report,
    seconds_of,
    verdict,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs it; 1 where a bar is missed."""
    told = options(__doc__, 5, arguments)
    official, samkit = told.pair()
    with official, samkit:
        hello = [side.ask("hello") for side in (official, samkit)]
        theirs, ours = alternate((official, samkit), told.runs, "encoder")
        samkit.ask("default_encoder", size=512)
        small = [samkit.ask("default_encoder", size=512)["seconds"] for _ in range(told.runs + 2)]
    times = seconds_of(theirs), seconds_of(ours)
    ratio = ratio_of(*times)
    error = difference(theirs[-1], ours[-1])
    report(
        "Encoder, seconds",
        [
            ("", "median", "ratio", "largest relative difference", "runs"),
            ("official ViT-B", f"{median(times[0]):.2f}", "1", "", raw(times[0])),
            (
                "samkit ViT-B",
                f"{median(times[1]):.2f}",
                f"{ratio:.2f}",
                f"{error:.1e}",
                raw(times[1]),
            ),
            ("samkit default, 512", f"{median(small):.3f}", "", "", raw(small, 3)),
        ],
        hello,
    )
    met = [
        verdict("ViT-B, times the official speed", ratio, 1.7),
        verdict("default model, seconds", median(small), 0.4, at_least=False),
        verdict("largest relative difference", error, 1e-4, at_least=False),
    ]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
