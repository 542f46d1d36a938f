"""The flag --format of verbs that write masks."""

from typing import TYPE_CHECKING, Literal

from samkit.datasets.formats import FORMATS

if TYPE_CHECKING:
    OutputFormat = str
else:
    OutputFormat = Literal[FORMATS]
    """A format that masks are written in."""
