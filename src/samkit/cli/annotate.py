"""`samkit annotate`: masks by hand, in the browser."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from samkit.cli.flags import Flag, ModelFlags
from samkit.errors import UsageError

if TYPE_CHECKING:
    from samkit.annotate.indexing import Indexed

_HELP = """
Prints one line with the address, which holds a token and works on this machine only, and opens it.
Ctrl-C ends it; everything is saved in PROJECT, and the same command goes on. Photographs stay where
they are. Other people's databases: --database postgresql://USER@HOST/NAME.

Example: samkit annotate photos/ --project cats.samkit
"""
_NAMED = 10
_DEFAULT_MODEL = ModelFlags()

app = App(name="annotate", usage="Usage: samkit annotate PHOTOS... [OPTIONS]", help_epilogue=_HELP)


@app.default
def annotate(
    photos: list[Path],
    /,
    *,
    project: Path | None = None,
    port: int = 0,
    open: Annotated[bool, Parameter(negative="--no-open")] = True,
    precompute: Flag = False,
    cache_gb: float = 10.0,
    database: str | None = None,
    host: str = "127.0.0.1",
    model: Annotated[ModelFlags, Parameter(name="*", group="Model")] = _DEFAULT_MODEL,
) -> int:
    """Make masks of photographs in the browser.

    Parameters
    ----------
    photos
        Pictures, and folders that are searched for them.
    project
        Folder that keeps everything; by itself the first of PHOTOS with .samkit behind its name.
    port
        Of the address; 0 takes any that is free.
    open
        Open the address in the browser.
    precompute
        Make the embeddings of all images, whenever nobody waits for another.
    cache_gb
        Gigabytes that embeddings may take on the disk.
    database
        URL of a PostgreSQL database instead of the project's own SQLite.
    host
        127.0.0.1 or ::1; other machines are never served.
    """
    if cache_gb <= 0:
        raise UsageError(f"--cache-gb must be more than 0, not {cache_gb}.")
    from samkit.annotate.model_process import ModelChoice
    from samkit.annotate.routes.page import MISSING, PAGE
    from samkit.annotate.serving import Job, serve

    def ready(address: str) -> None:
        print(address, flush=True)
        if not (PAGE / "index.html").is_file():
            print(f"samkit: {MISSING}", file=sys.stderr)
        elif open:
            webbrowser.open(address)

    first = photos[0].absolute()
    job = Job(
        photos=photos,
        folder=first.with_name(first.name + ".samkit") if project is None else project,
        database=database,
        model=ModelChoice(model.model, model.device, model.dtype),
        host=host,
        port=port,
        cache_bytes=int(cache_gb * (1 << 30)),
        precompute=precompute,
    )
    serve(job, ready, _tell, _count)
    return 0


def _count(done: int, total: int) -> None:
    """On a terminal, how many photographs were looked at."""
    if sys.stderr.isatty() and total > 1:
        end = "\n" if done == total else "\r"
        print(f"Looked at {done:,} of {total:,} photographs", end=end, file=sys.stderr, flush=True)


def _tell(indexed: "Indexed") -> None:
    """Which files were left out."""
    for name, sentence in list(indexed.broken.items())[:_NAMED]:
        print(f"samkit: left out {name}: {sentence}", file=sys.stderr)
    if len(indexed.broken) > _NAMED:
        print(f"samkit: and {len(indexed.broken) - _NAMED} more were left out.", file=sys.stderr)
