"""`samkit annotate`: masks by hand, in the browser."""

import sys
import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from samkit.cli.flags import Flag, ModelFlags
from samkit.errors import UsageError

if TYPE_CHECKING:
    from samkit.annotate.importing import Imported
    from samkit.annotate.indexing import Indexed
    from samkit.annotate.serving import Report

_HELP = """
Prints one line with the address, which holds a token and works on this machine only, and opens it.
Ctrl-C ends it; everything is saved in PROJECT, and the same command goes on. Photographs stay where
they are. Other people's databases: --database postgresql://USER@HOST/NAME.

Example: samkit annotate photos/ --project cats.samkit
"""
_NAMED = 10
_IMPORT = "Import"
_PEOPLE = "People"
_DEFAULT_MODEL = ModelFlags()

app = App(
    name="annotate", usage="Usage: samkit annotate [PHOTOS...] [OPTIONS]", help_epilogue=_HELP
)


@app.default
def annotate(
    photos: list[Path] | None = None,
    /,
    *,
    project: Path | None = None,
    port: int = 0,
    open: Annotated[bool, Parameter(negative="--no-open")] = True,
    precompute: Flag = False,
    precompute_only: Flag = False,
    cache_gb: float = 10.0,
    database: str | None = None,
    host: str = "127.0.0.1",
    dataset: Annotated[Path | None, Parameter(name="--import", group=_IMPORT)] = None,
    import_as: Annotated[Literal["imported", "suggested"], Parameter(group=_IMPORT)] = "imported",
    import_images: Annotated[Path | None, Parameter(group=_IMPORT)] = None,
    import_only: Annotated[Flag, Parameter(group=_IMPORT)] = False,
    add_person: Annotated[str | None, Parameter(group=_PEOPLE)] = None,
    role: Annotated[Literal["annotator", "reviewer", "admin"] | None, Parameter(group=_PEOPLE)] = (
        None
    ),
    model: Annotated[ModelFlags, Parameter(name="*", group="Model")] = _DEFAULT_MODEL,
) -> int:
    """Make masks of photographs in the browser.

    Parameters
    ----------
    photos
        Images, and folders that are searched for them; none to go on with a project.
    project
        Folder that keeps everything; by itself the first of PHOTOS with .samkit behind its name.
    port
        Of the address; 0 takes any that is free.
    open
        Open the address in the browser.
    precompute
        Make the embeddings of all images, whenever nobody waits for another.
    precompute_only
        End when the embeddings are made, without a server.
    cache_gb
        Gigabytes that embeddings may take on the disk.
    database
        URL of a PostgreSQL database instead of the project's own SQLite.
    host
        A name or address by which other machines reach this one, for projects in which somebody
        has an account; TLS must stand before it.
    dataset
        Bring in the masks of a dataset, in any format that samkit reads; images are known by their
        content, or by their name.
    import_as
        suggested: a person still accepts or rejects each.
    import_images
        Folder of the dataset's images, if it is not beside the dataset.
    import_only
        End when the masks are in, without a server.
    add_person
        Name of a new person: prints their address and ends; the server may run meanwhile. Without
        --port it is the address's end, to be put in place of the end of the one that was printed.
    role
        What they may do: annotator if nothing is said; a reviewer reviews and exports as well, an
        admin adds people.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is from 0, any free one, to 65535, not {port}.")
    if cache_gb <= 0:
        raise UsageError(f"--cache-gb must be more than 0, not {cache_gb}.")
    if dataset is None and (import_only or import_images is not None):
        raise UsageError("--import-only and --import-images need --import DATASET.")
    if add_person is not None and (dataset is not None or precompute or precompute_only):
        raise UsageError("--add-person ends at once; import and precompute by another command.")
    if role is not None and add_person is None:
        raise UsageError("--role needs --add-person NAME.")
    from samkit.annotate.model_process import ModelChoice
    from samkit.annotate.serving import Import, Job, admit, embed_all, fill, serve

    imports = None
    if dataset is not None:
        imports = Import(dataset=dataset, stage=import_as, images=import_images)
    outcome = _Outcome()
    job = Job(
        photos=photos or [],
        folder=_folder(photos or [], project),
        database=database,
        model=ModelChoice(model.model, model.device, model.dtype),
        host=host,
        port=port,
        cache_bytes=int(cache_gb * (1 << 30)),
        precompute=precompute,
        imports=imports,
    )
    if add_person is not None:
        print(admit(job, add_person, role or "annotator"))
    elif precompute_only:
        if not embed_all(job, outcome.report()):
            outcome.exit_code = 1
    elif import_only:
        fill(job, outcome.report())
    else:
        serve(job, lambda address: _say_address(address, open), outcome.report())
    return outcome.exit_code


def _folder(photos: list[Path], project: Path | None) -> Path:
    if not photos:
        if project is None or not (project / "project.json").is_file():
            raise UsageError("Name photographs, or by --project a project that has some.")
        return project
    first = photos[0].absolute()
    return first.with_name(first.name + ".samkit") if project is None else project


def _say_address(address: str, open: bool) -> None:
    from samkit.annotate.routes.page import PAGE, missing

    print(address, flush=True)
    if not (PAGE / "index.html").is_file():
        print(f"samkit: {missing()}", file=sys.stderr)
    elif open:
        webbrowser.open(address)


class _Outcome:
    """Tells what happens before the server answers, and remembers whether something failed."""

    def __init__(self) -> None:
        self.exit_code = 0

    def report(self) -> "Report":
        """Whom the server tells."""
        from samkit.annotate.serving import Report
        from samkit.cli.progress import steps

        return Report(
            indexed=self._indexed, imported=self._imported, progress=_count, precomputing=steps
        )

    def _indexed(self, indexed: "Indexed") -> None:
        _name(f"left out {name}: {sentence}" for name, sentence in indexed.broken.items())
        if indexed.broken:
            self.exit_code = 1

    def _imported(self, imported: "Imported") -> None:
        there = f"; {imported.known:,} were there already" if imported.known else ""
        print(
            f"samkit: {_counted(imported.masks, 'mask')} brought in for "
            f"{_counted(imported.images, 'image')}{there}",
            file=sys.stderr,
        )
        _name(f"the project does not have the image {name}" for name in imported.unmatched)
        _name(f"left out {name}: {sentence}" for name, sentence in imported.broken.items())
        if imported.broken:
            self.exit_code = 1


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _count(what: str, done: int, total: int) -> None:
    """On a terminal, how many were looked at."""
    if sys.stderr.isatty() and total > 1:
        end = "\n" if done == total else "\r"
        print(f"Looked at {done:,} of {total:,} {what}", end=end, file=sys.stderr, flush=True)


def _name(sentences: Iterable[str]) -> None:
    """The first of many sentences, and how many more there are."""
    rest = list(sentences)
    for sentence in rest[:_NAMED]:
        print(f"samkit: {sentence}", file=sys.stderr)
    if len(rest) > _NAMED:
        print(f"samkit: and {len(rest) - _NAMED:,} more.", file=sys.stderr)
