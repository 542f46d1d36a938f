"""The build hook: when the annotator's page is built, and when the one that is there is taken."""

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hatchling", reason="needs hatchling")
ROOT = Path(__file__).parents[1]


class Hook:
    """The hook over a small checkout; its page holds what web/source.ts held when it was built."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.root = root
        self.index = root / self.module.PAGE / "index.html"
        self.source = root / "web" / "source.ts"
        (root / "web" / "node_modules").mkdir(parents=True)
        self.can_build = True
        self.clock = 1_000_000_000
        self.warnings: list[str] = []
        monkeypatch.setattr(self.module, "_build", self._build)

    def write(self, path: Path, text: str) -> None:
        """A file that is newer than all others."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def run(self) -> str | None:
        """Installs; what the page holds then."""
        build_data: dict[str, Any] = {"artifacts": []}
        hook = self.module.PageBuildHook(str(self.root), {}, None, None, "", "wheel", app=self)
        hook.initialize("standard", build_data)
        assert bool(build_data["artifacts"]) == self.index.is_file()
        return self.index.read_text() if self.index.is_file() else None

    def display_warning(self, sentence: str) -> None:
        """What hatchling's application does."""
        self.warnings.append(sentence)

    def _build(self, web: Path) -> None:
        if not self.can_build:
            raise subprocess.CalledProcessError(1, "npm")
        self.write(self.index, self.source.read_text())


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hook:
    monkeypatch.delenv("SAMKIT_PAGE", raising=False)
    made = Hook(tmp_path, monkeypatch)
    made.write(made.source, "first")
    return made


def test_a_page_is_built_where_there_is_none_or_an_older_one(hook: Hook) -> None:
    assert hook.run() == "first"
    hook.write(hook.source, "second")
    assert hook.run() == "second"
    (hook.root / "web" / ".#source.ts").symlink_to("nowhere")  # as editors lock files
    assert hook.run() == "second"


def test_a_page_that_is_newer_than_its_sources_is_taken(hook: Hook) -> None:
    hook.write(hook.index, "by hand")
    hook.write(hook.root / "web" / "node_modules" / "package.js", "newer")
    assert hook.run() == "by hand"


def test_where_it_cannot_be_built_the_older_one_stays(hook: Hook) -> None:
    hook.can_build = False
    assert hook.run() is None
    assert "without it" in hook.warnings[0]
    hook.write(hook.index, "older")
    hook.write(hook.source, "second")
    assert hook.run() == "older"
    assert "with the older one" in hook.warnings[1]


def test_the_page_can_be_left_out_or_required(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMKIT_PAGE", "skip")
    assert hook.run() is None
    monkeypatch.setenv("SAMKIT_PAGE", "require")
    assert hook.run() == "first"
    hook.write(hook.source, "second")
    hook.can_build = False
    with pytest.raises(subprocess.CalledProcessError):
        hook.run()
