"""Masks of another dataset as operations of a project: matched by image, each brought in once.

A mask's id is made of its image, its pixels and its labels. One that the project has or ever had
(changed or deleted by a person since) is therefore left as it is, and the same import again
changes nothing.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from samkit.annotate import schemas
from samkit.annotate.access import Person
from samkit.annotate.database import Database
from samkit.annotate.gathering import Gathered
from samkit.annotate.matching import Ambiguous, Matcher
from samkit.annotate.operations import apply, locked_image
from samkit.annotate.refusals import Refused
from samkit.annotate.tables import Image, Instance
from samkit.datasets.opening import open_dataset
from samkit.datasets.pairs import Pair, PairReader
from samkit.datasets.records import Record
from samkit.errors import FormatError, UsageError

ImportStage = Literal["imported", "suggested"]
"""imported: masks like any other. suggested: a person still accepts or rejects each."""

CLIENT = "import"
"""The client that the log names."""


@dataclass
class Imported:
    """What an import brought."""

    images: int = 0
    """Images of the dataset that the project has."""
    masks: int = 0
    """Masks that are new."""
    known: int = 0
    """Masks that were there, or had been there, already."""
    unmatched: list[str] = field(default_factory=list)
    """Names of the dataset's images that the project does not have."""
    broken: dict[str, str] = field(default_factory=dict)
    """What was left out although its image may be there, with the sentence that says why."""


def open_for(database: Database, path: Path, images: Path | None = None) -> PairReader | Gathered:
    """The pairs of a dataset; their images, where it brings none, are the project's own.

    images: the folder of the dataset's images, where it is not the usual one. Without it, and where
    no image is found there either, each image is looked for where the project has one of its name.
    Raises UsageError where there is no dataset, FormatError where it is broken.
    """
    if images is not None:
        return open_dataset(path, images=images)
    with database.read() as session:
        matcher = Matcher(session)
    opened, problem = None, None
    try:
        opened = open_dataset(path)
    except UsageError as error:
        problem = error
    if opened is not None and next(iter(opened), None) is not None:
        return opened
    if matcher.top is not None:
        with contextlib.suppress(UsageError):  # not every dataset lets its images lie elsewhere
            return Gathered(lambda folder: open_dataset(path, images=folder), matcher)
    if opened is not None:
        return opened
    assert problem is not None
    raise problem


def import_dataset(
    database: Database,
    reader: PairReader | Gathered,
    person: Person,
    stage: ImportStage = "imported",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Bring the masks of a dataset into the project, those of an image in one transaction.

    Images are found by their content, or by their name where the dataset's copy is another file.
    Labels, prompts, model, seconds and scores are kept; where nobody measured the scores (both are
    1) there is no predicted IoU. progress: called with (images done, images in all).
    Raises UsageError where the project has none of the dataset's images.
    """
    with database.read() as session:
        matcher = Matcher(session)
    result = Imported()
    total = len(reader)
    for number, pair in enumerate(reader):
        progress(number, total)
        try:
            image_id = matcher.find(pair)
        except (Ambiguous, FormatError) as error:
            result.broken[pair.name] = str(error)
            continue
        if image_id is None:
            result.unmatched.append(pair.name)
        else:
            result.images += 1
            _import_pair(database, image_id, pair, person, stage, result)
    result.broken |= dict(reader.broken)
    progress(total, total)
    if result.unmatched and not result.images:
        raise UsageError(
            f"The project has none of the {total} images of the dataset, neither by content nor by "
            "name; is it the right folder of photographs?"
        )
    return result


def _import_pair(
    database: Database,
    image_id: str,
    pair: Pair,
    person: Person,
    stage: ImportStage,
    result: Imported,
) -> None:
    try:
        with database.write() as session:
            image = locked_image(session, image_id)
            _check_size(image, pair)
            sent = _operations(image, pair, stage, result)
            fresh = _unknown(session, image, sent)
            if fresh and image.state == "accepted":
                raise Refused(f"{image.name} is accepted; reject it first, then import again.")
            if fresh:
                apply(session, image_id, person, CLIENT, fresh)
    except Refused as error:
        result.broken[pair.name] = str(error)
    else:
        result.masks += len(fresh)
        result.known += len(sent) - len(fresh)


def _check_size(image: Image, pair: Pair) -> None:
    if (image.height, image.width) != pair.info.size:
        raise Refused(
            f"Its masks have {pair.info.width} x {pair.info.height} pixels, but {image.name} has "
            f"{image.width} x {image.height}."
        )


def _operations(
    image: Image, pair: Pair, stage: ImportStage, result: Imported
) -> list[schemas.Operation]:
    """An operation for each sound record; the others are named in `result`."""
    found = []
    twins: Counter[str] = Counter()  # a dataset may hold the very same mask twice
    for record in pair.records:
        try:
            value = schemas.SentValue.model_validate(_value(record, stage))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            sentence = f"Record {record['id']} does not fit: {place}: {first['msg']}."
            result.broken[f"{pair.name} record {record['id']}"] = sentence
            continue
        content = json.dumps([image.sha256, value.rle["counts"], sorted(value.labels)])
        digest = hashlib.sha256(f"{content} {twins[content]}".encode()).hexdigest()[:40]
        twins[content] += 1
        found.append(
            schemas.Operation(
                op=f"import-{digest}", kind="put", instance=f"i-{digest}", base=0, value=value
            )
        )
    return found


def _unknown(
    session: Session, image: Image, sent: Sequence[schemas.Operation]
) -> list[schemas.Operation]:
    """Those whose mask the image never had: neither by id nor, as it is now, by pixels and labels.

    The second is for what was exported from this very project.
    """
    query = select(Instance).where(Instance.image_id == image.id)
    instances = list(session.scalars(query))
    ids = {instance.id for instance in instances}
    standing = {_content(instance.value) for instance in instances if not instance.deleted}
    return [
        operation
        for operation in sent
        if operation.value is not None
        and operation.instance not in ids
        and _content(operation.value.kept()) not in standing
    ]


def _content(value: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    return value["rle"]["counts"], tuple(sorted(value["labels"]))


def _value(record: Record, stage: ImportStage) -> dict[str, Any]:
    """An instance's fields of a record; what has no field of its own is kept as its source."""
    own = dict(record.get("samkit", {}))
    measured = (record["predicted_iou"], record["stability_score"]) != (1.0, 1.0)
    points = [{"kind": "point", "x": x, "y": y, "label": 1} for x, y in record["point_coords"]]
    kept = {name: own.pop(name) for name in ("model", "seconds") if own.get(name) is not None}
    source = {
        "id": record["id"],
        "stability_score": record["stability_score"] if measured else None,
        "crop_box": record["crop_box"],
    }
    value = {
        "rle": record["segmentation"],
        "labels": own.pop("labels", []),
        "prompts": own.pop("prompts", None) or points,
        "predicted_iou": record["predicted_iou"] if measured else None,
        "stage": stage,
        "source": source | ({"samkit": own} if own else {}),
    }
    return value | kept
