"""The tables of the model's card, from what `samkit evaluate --json` wrote.

python runs/card_table.py VAL.json [NEW_DOMAIN.json...]

A file of scores without sources is one source, of the file's name.
"""

import json
import sys
from pathlib import Path
from typing import Any

NEW_DOMAINS = ("dsb2018", "facades")
COLUMNS = {
    "c1": ("clicks", "c1"),
    "best": ("clicks", "c1_best"),
    "c5": ("clicks", "c5"),
    "box": ("box", "box"),
}
RULES = {
    "disc": ("disc", "clicks", "c1"),
    "3 discs": ("disc", "clicks", "c1_best"),
    "watershed c1": ("watershed", "clicks", "c1"),
    "watershed c5": ("watershed", "clicks", "c5"),
    "ellipse": ("ellipse", "box", "box"),
    "rectangle": ("rectangle", "box", "box"),
}


def look(scores: dict[str, Any], *path: str) -> float:
    """A number deep inside, NaN where it is not there."""
    value: Any = scores
    for key in path:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return float(value) if isinstance(value, int | float) else float("nan")


def cells(scores: dict[str, Any]) -> list[float]:
    """The numbers of a row."""
    own = [look(scores, *path) for path in COLUMNS.values()]
    return own + [look(scores, "rules", *path) for path in RULES.values()]


def row(name: str, masks: int, values: list[float]) -> str:
    """A row of Markdown."""
    shown = ["–" if value != value else f"{value:.3f}" for value in values]
    return f"| {name} | {masks} | " + " | ".join(shown) + " |"


def mean(rows: list[tuple[int, list[float]]]) -> tuple[int, list[float]]:
    """The mean over all masks of some sources."""
    total = sum(masks for masks, _ in rows)
    columns = zip(*(values for _, values in rows), strict=True)
    weights = [masks for masks, _ in rows]
    return total, [sum(w * v for w, v in zip(weights, c, strict=True)) / total for c in columns]


def main() -> None:
    """Prints the table: training sources first, then the new domains, all of whose images count."""
    sources: dict[str, list[tuple[int, list[float]]]] = {}
    for path in sys.argv[1:]:
        scores = json.loads(Path(path).read_text())
        alone = {Path(path).stem: {**scores, "masks": scores["about"]["masks"]}}
        for name, own in scores.get("sources", alone).items():
            sources.setdefault(name, []).append((own["masks"], cells(own)))
    known = {name: mean(rows) for name, rows in sources.items() if name not in NEW_DOMAINS}
    new = {name: mean(rows) for name, rows in sources.items() if name in NEW_DOMAINS}
    print("| source | masks | " + " | ".join([*COLUMNS, *RULES]) + " |")
    print("|---" * (2 + len(COLUMNS) + len(RULES)) + "|")
    print(row("**training sources, val**", *mean(list(known.values()))))
    if new:
        print(row("**new domains**", *mean(list(new.values()))))
    for name, values in [*sorted(known.items()), *sorted(new.items())]:
        print(row(name, *values))


if __name__ == "__main__":
    main()
