"""The images of an evaluation: with masks, or of BSDS500's layout, as steps that score them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from samkit.datasets.opening import open_dataset
from samkit.datasets.pairs import PairReader, source_of
from samkit.errors import UsageError
from samkit.evaluation.bsds500 import AnnotatedImage, is_layout, read_layout
from samkit.evaluation.session import Session, some_of
from samkit.evaluation.summaries import EDGES


@dataclass(frozen=True)
class Step:
    """One image still to be scored."""

    name: str
    score: Callable[[Session], str]
    """Scores it and says in a few words what it had. Raises ImageError and FormatError."""


class Inputs:
    """Everything that is scored."""

    def __init__(
        self, paths: Sequence[Path], protocols: frozenset[str], limit: int | None = None
    ) -> None:
        """paths: what `open_dataset` reads, and folders laid out as BSDS500. limit: images of each,
            at most.

        Raises UsageError where a protocol has no data or data no protocol, and what `open_dataset`
        raises.
        """
        layouts = [path for path in paths if is_layout(path)]
        datasets = [path for path in paths if path not in layouts]
        if bool(layouts) != (EDGES in protocols):
            what = f"{layouts[0]} is for that alone" if layouts else "no --data is laid out so"
            raise UsageError(
                f"The protocol edges goes with a folder laid out as BSDS500 (images/, "
                f"groundTruth/), and {what}."
            )
        if bool(datasets) != bool(protocols - {EDGES}):
            others = ", ".join(sorted(protocols - {EDGES}))
            what = (
                f"{datasets[0]} is for them"
                if datasets
                else f"{others} cannot be measured without them"
            )
            raise UsageError(f"Protocols other than edges go with images with masks, and {what}.")
        self._readers = [open_dataset(path) for path in datasets]
        self.steps: list[Step] = []
        for path, reader in zip(datasets, self._readers, strict=True):
            for name in some_of(reader.names, limit):
                self.steps.append(Step(name, partial(_score_pair, reader, name, path.stem)))
        for path in layouts:
            annotated = {one.name: one for one in read_layout(path)}
            for name in some_of(list(annotated), limit):
                self.steps.append(Step(name, partial(_score_edges, annotated[name])))
        if not self.steps:
            first = "".join(f" Left out: {name}: {why}" for name, why in self.left_out[:1])
            raise UsageError(f"There is no image in {', '.join(map(str, paths))}.{first}")

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """(name, sentence) of every record and tar that was left out so far."""
        return [entry for reader in self._readers for entry in reader.broken]


def _score_pair(reader: PairReader, name: str, dataset: str, session: Session) -> str:
    masks = session.score_pair(reader[name], source_of(name, dataset))
    return f"{masks} mask{'' if masks == 1 else 's'}"


def _score_edges(annotated: AnnotatedImage, session: Session) -> str:
    return f"F {session.score_edges(annotated):.3f}"
