"""ViT-B's prompt encoder and mask decoder: 64 single-point prompts, three masks each, float32.

    python benchmarks/decoder.py --official PYTHON [--quick] [--chunks]

The official package takes them as one batch of 64, as its automatic mask generator does; samkit
takes a few at a time. `--chunks` also measures other numbers of prompts at a time, on both sides.
Bar: 2.5 times as fast as segment-anything 1.0 (aim 4).
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

PROMPTS = 64
CHUNKS = {"official": (1,), "samkit": (1, 2, 4, 8, 16)}


def main(arguments: list[str] | None = None) -> int:
    """Runs it; 1 where a bar is missed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    chunks = "--chunks" in arguments
    told = options(__doc__, 5, [word for word in arguments if word != "--chunks"])
    official, samkit = told.pair()
    others: list[tuple[str, ...]] = []
    with official, samkit:
        hello = [side.ask("hello") for side in (official, samkit)]
        theirs, ours = alternate(
            (official, samkit), told.runs, "decoder", prompts=PROMPTS, chunk=None
        )
        times = seconds_of(theirs), seconds_of(ours)
        for name, side in (("official", official), ("samkit", samkit)):
            for chunk in CHUNKS[name] if chunks else ():
                (answers,) = alternate((side,), told.runs, "decoder", prompts=PROMPTS, chunk=chunk)
                found = seconds_of(answers)
                ratio = ratio_of(times[0], found)
                others.append(
                    (
                        f"{name}, {chunk} at a time",
                        f"{median(found):.2f}",
                        f"{ratio:.2f}",
                        "",
                        raw(found),
                    )
                )
    ratio, error = ratio_of(*times), difference(theirs[-1], ours[-1])
    report(
        f"Decoder, {PROMPTS} points, three masks each, seconds",
        [
            ("", "median", "ratio", "largest relative difference", "runs"),
            ("official, one batch", f"{median(times[0]):.2f}", "1", "", raw(times[0])),
            ("samkit", f"{median(times[1]):.2f}", f"{ratio:.2f}", f"{error:.1e}", raw(times[1])),
            *others,
        ],
        hello,
    )
    met = [
        verdict("times the official speed", ratio, 2.5),
        verdict("largest relative difference", error, 1e-4, at_least=False),
    ]
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
