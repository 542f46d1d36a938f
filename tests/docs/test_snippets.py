"""What the README and the docs show works: Python blocks run, commands are known.

Blocks of ```python are run with the bundled model, those of one file one after the other, as a
reader would; a block that cannot run in a test begins with ```python not-run. In blocks of ```bash
every line that calls samkit is checked against the flags there are, and run if that is quick.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from samkit.cli.main import app, main

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK = ("segment", "models", "version")
NOT_QUICK = {"download", "vit_b", "vit_l", "vit_h"}

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    options: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    return [
        Block(match[1], match[2].strip(), text[: match.start()].count("\n") + 2, match[3])
        for match in _BLOCK.finditer(text)
    ]


def commands(text: str) -> list[list[str]]:
    """The words of each line of a bash block that calls samkit."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line[1:] for line in words if line and Path(line[0]).name == "samkit"]


def _python_files() -> list[Path]:
    return [
        path
        for path in FILES
        if any(block.language == "python" for block in blocks(path.read_text()))
    ]


def _all_commands() -> list[tuple[str, list[str]]]:
    return [
        (f"{path.relative_to(ROOT)}:{block.line}", words)
        for path in FILES
        for block in blocks(path.read_text())
        if block.language in ("bash", "sh", "console")
        for words in commands(block.text)
    ]


@pytest.mark.parametrize("path", _python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(path: Path, workplace: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(path.read_text()):
        if block.language == "python" and "not-run" not in block.options:
            source = "\n" * (block.line - 1) + block.text  # so that errors name the line
            exec(compile(source, str(path), "exec"), names)


@pytest.mark.parametrize(("place", "words"), _all_commands())
def test_commands_are_known(place: str, words: list[str], workplace: Path) -> None:
    app.parse_args(words, exit_on_error=False, print_error=False)
    if words[0] in QUICK and not NOT_QUICK & set(words):
        assert main(words) == 0


def test_blocks_and_commands_are_found() -> None:
    text = "x\n```python\na = 1\n```\n```bash\nsamkit auto a \\\n  -o b  # all\n$ ls\n```\n"
    python, bash = blocks(text)
    assert (python.line, python.text) == (3, "a = 1\n")
    assert commands(bash.text) == [["auto", "a", "-o", "b"]]
    assert commands(".venv/bin/samkit models") == [["models"]]
