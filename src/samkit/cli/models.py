"""`samkit models`: what is known by name and what of it is here; and downloads."""

import sys

from cyclopts import App
from rich.console import Console
from rich.table import Table

from samkit.checkpoints.known import KNOWN, ModelStatus, status
from samkit.cli.progress import transfer

_HELP = """
Each name, and each path of a checkpoint, may be given as --model to the verbs that run one. The
cache folder is that of the system; SAMKIT_CACHE names another.

Example: samkit models download vit_b
"""

app = App(name="models", help_epilogue=_HELP)


@app.default
def models() -> None:
    """List the models that are known by name, with size, licence and whether they are here."""
    known = status()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("what")
    for model in known:
        size = f"{model.size / 1e6:,.0f} MB" if model.size else ""
        table.add_row(model.name, size, _here(model), model.licence, model.description)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    for model in known:
        console.print(_where(model), markup=False, highlight=False, soft_wrap=True)


@app.command(help_epilogue="Example: samkit models download vit_b")
def download(name: str, /) -> None:
    """Fetch a published model into the cache; what an earlier try has left is taken up.

    Parameters
    ----------
    name
        One of those that `samkit models` lists.
    """
    from samkit.checkpoints.download import download as fetch

    with transfer(name) as progress:
        path = fetch(name, progress=progress)
    print(path)


def _here(model: ModelStatus) -> str:
    if model.cached:
        return "yes"
    if model.partial:
        return f"{model.partial / model.size:.0%} of it"
    return "no"


def _where(model: ModelStatus) -> str:
    if model.cached:
        return f"{model.name}: {model.path}"
    if model.name not in KNOWN:
        return f"{model.name}: missing from this installation, where it would be {model.path}"
    return f"{model.name}: `samkit models download {model.name}`, or put the file at {model.path}"
