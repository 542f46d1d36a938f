"""The code and the tests that docs/paper.md names are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line.split("|")[1:-1]
    for line in (ROOT / "docs" / "paper.md").read_text().splitlines()
    if line.startswith("| ")
]

_NAMED = re.compile(r"`(tests/[\w/.]+)?(?:::(test_\w+))?[^`]*`")


def test_the_code_is_there() -> None:
    for row in ROWS:
        folder = Path()
        for path in re.findall(r"`([\w/]+\.py)`", row[-2]):
            folder = Path(path).parent if "/" in path else folder  # that of the one before it
            assert (ROOT / "src" / "samkit" / folder / Path(path).name).is_file(), path


def test_the_tests_are_there() -> None:
    last = ""
    for path, name in (found for row in ROWS for found in _NAMED.findall(row[-1])):
        last = path or last
        assert (ROOT / last).exists(), last
        assert not name or f"def {name}(" in (ROOT / last).read_text(), (last, name)
