"""The page's own checks: its types, and Vitest for what needs no browser."""

import shutil
import subprocess
from pathlib import Path

import pytest
from annotator_server import ROOT

WEB = ROOT / "web"


def _node() -> Path:
    """Playwright's own node, which is new enough, or the system's."""
    if not (WEB / "node_modules").is_dir():
        pytest.skip("needs node_modules: npm ci in web/")
    driver = pytest.importorskip("playwright._impl._driver", reason="needs playwright")
    own = Path(driver.compute_driver_executable()[0])
    found = own if own.is_file() else shutil.which("node")
    if found is None:
        pytest.skip("needs node")
    return Path(found)


@pytest.mark.parametrize(
    "words",
    [("typescript/bin/tsc", "--noEmit"), ("vitest/vitest.mjs", "run", "--maxWorkers=1")],
    ids=["types", "vitest"],
)
def test_the_page_passes_its_own_checks(words: tuple[str, ...]) -> None:
    script, *rest = words
    command = [_node(), WEB / "node_modules" / script, *rest]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
