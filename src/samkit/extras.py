"""How the packages that only some verbs need are installed: as an extra of ours."""

import shlex
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def checkout() -> Path | None:
    """The checkout that samkit runs from; None where it was installed as a wheel."""
    return _ROOT if (_ROOT / "hatch_build.py").is_file() else None


def how_to_install(extra: str) -> str:
    """The command that installs an extra for the Python that runs."""
    root = checkout()
    what = f"'samkit[{extra}]'" if root is None else f"--editable '{root}[{extra}]'"
    return f"{shlex.quote(sys.executable)} -m pip install {what}"
