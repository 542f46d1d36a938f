"""Two packages in two processes, asked the same in turns, and a table of the answers."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent


class Side:
    """A worker process of one package; use as a context."""

    def __init__(self, package: str, python: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), package, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """One request, one answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The worker process ended while it was asked for {task}.")
        return json.loads(line)

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Options:
    """What every comparison is told on the command line."""

    official: str
    threads: int
    runs: int
    quick: bool

    def pair(self) -> tuple[Side, Side]:
        """The official package and this one, each in a fresh process."""
        return (
            Side("official", self.official, self.threads),
            Side("samkit", sys.executable, self.threads),
        )


def options(description: str, runs: int, arguments: list[str] | None = None) -> Options:
    """Reads the command line; runs: how often each side is asked by default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--official",
        metavar="PYTHON",
        default=os.environ.get("SAMKIT_OFFICIAL_PYTHON"),
        help="python of an environment made by official/setup.sh (or SAMKIT_OFFICIAL_PYTHON)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=None, help=f"runs of each side ({runs})")
    parser.add_argument(
        "--quick", action="store_true", help="one run of each, smaller where it can"
    )
    given = parser.parse_args(arguments)
    if not given.official:
        parser.error(
            "no environment with the official package: sh benchmarks/official/setup.sh FOLDER, "
            "then --official FOLDER/bin/python"
        )
    count = given.runs or (1 if given.quick else runs)
    return Options(given.official, given.threads, count, given.quick)


def alternate(
    sides: Iterable[Side], runs: int, task: str, warm_up: bool = True, **arguments: Any
) -> list[list[dict[str, Any]]]:
    """Answers of each side, asked in turns (A B A B ...), after one that does not count."""
    answers: list[list[dict[str, Any]]] = [[] for _ in sides]
    for run in range(-1 if warm_up else 0, runs):
        for side, kept in zip(sides, answers, strict=True):
            answer = side.ask(task, **arguments)
            if run >= 0:
                kept.append(answer)
    return answers


def seconds_of(answers: list[dict[str, Any]]) -> list[float]:
    """The times of some answers."""
    return [answer["seconds"] for answer in answers]


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference between two samples, relative to the largest value."""
    pairs = list(zip(one["sample"], other["sample"], strict=True))
    return max(abs(a - b) for a, b in pairs) / max(abs(a) for a, _ in pairs)


def raw(values: Iterable[float], digits: int = 2) -> str:
    """All runs, as they are written into docs/performance.md."""
    return " ".join(f"{value:.{digits}f}" for value in values)


def ratio_of(official: list[float], ours: list[float]) -> float:
    """How many times the official median is ours."""
    return median(official) / median(ours)


def report(title: str, rows: list[tuple[str, ...]], hello: list[dict[str, Any]]) -> None:
    """A Markdown table, and what it was measured with."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n{title}\n")
    for number, row in enumerate(rows):
        print(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)),
            "|",
        )
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{machine()}")
    for side in hello:
        print(f"{side['package']}: torch {side['torch']}, Python {side['python']}, "
              f"{side['threads']} threads")  # fmt: skip


def machine() -> str:
    """The processor, and whether it multiplies bfloat16 natively."""
    name, flags = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in cpuinfo.read_text().splitlines()
            if ":" in line
        )
        name, flags = fields.get("model name", name), fields.get("flags", "")
    can = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if word in flags.split()]
    return f"{os.cpu_count()} cores, {name}, {' '.join(can) or 'no known vector extensions'}"


def verdict(what: str, value: float, bar: float, at_least: bool = True) -> bool:
    """Prints whether a bar is met, and returns it."""
    good = value >= bar if at_least else value <= bar
    sign = ">=" if at_least else "<="
    print(f"{what}: {value:.3g} (bar {sign} {bar:g}): {'met' if good else 'MISSED'}")
    return good
