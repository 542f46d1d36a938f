"""Bars on a terminal, lines elsewhere."""

import sys
from collections.abc import Callable

import pytest

from samkit.cli.progress import steps, transfer


class Terminal:
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], str]:
    """Runs something whose stderr is a terminal; what stands there then."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def run(work: Callable[[], None]) -> str:
        stream = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            work()
        return stream.text

    return run


def two_steps() -> None:
    with steps(2) as progress:
        progress.start("first.png")
        progress.finish("3 masks")
        progress.start("second.png")
        progress.finish("second.png is broken.", failed=True)


def test_bar_on_a_terminal_shows_the_step_and_keeps_failures(on_a_terminal) -> None:
    text = on_a_terminal(two_steps)
    assert "2/2" in text
    assert "3 masks" not in text
    assert text.count("second.png is broken.") == 1


def test_elsewhere_every_step_is_a_line(capsys) -> None:
    two_steps()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("[1/2] first.png: 3 masks (")
    assert second.startswith("[2/2] second.png is broken. (")


def download() -> None:
    with transfer("vit_b") as progress:
        for here in range(0, 4_000_001, 100_000):
            progress(here, 4_000_000)


def test_download_on_a_terminal_counts_bytes(on_a_terminal) -> None:
    assert "4.0/4.0 MB" in on_a_terminal(download)


def test_download_elsewhere_is_a_line_for_each_tenth(capsys) -> None:
    download()
    assert len(capsys.readouterr().err.splitlines()) == 11
