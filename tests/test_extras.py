import sys
from pathlib import Path

import pytest

from samkit import extras

ROOT = Path(__file__).parents[1]


def _without_a_page() -> str:
    return pytest.importorskip("samkit.annotate.routes.page", exc_type=ImportError).missing()


def test_a_checkout_is_installed_again_with_the_extra() -> None:
    command = f"{sys.executable} -m pip install --editable '{ROOT}[train]'"
    assert extras.how_to_install("train") == command
    assert f"`make annotate` in {ROOT}" in _without_a_page()


def test_a_wheel_has_the_extra_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "_ROOT", tmp_path)
    assert extras.how_to_install("train").endswith("-m pip install 'samkit[train]'")
    assert "make annotate" not in _without_a_page()
