"""`samkit version`: what to say in a report of a problem."""

import platform
import sys
from importlib.metadata import version as version_of

from cyclopts import App

_PARTS = ("torch", "numpy", "pillow", "pycocotools")

app = App(name="version", help_epilogue="Example: samkit version")


def version_line() -> str:
    """The version of samkit alone."""
    return f"samkit {version_of('samkit')}"


@app.default
def version() -> None:
    """Print the versions of samkit, of Python and of what they compute with."""
    print(version_line())
    print(f"Python {sys.version.split()[0]} on {platform.platform()}")
    print(", ".join(f"{part} {version_of(part)}" for part in _PARTS))
