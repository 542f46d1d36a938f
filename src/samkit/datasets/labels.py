"""The label of a record where a format has room for a single one."""

from collections.abc import Mapping
from typing import Any

from samkit.datasets.records import OWN_KEY, Record, check, from_mask, own_of
from samkit.masks.runs import Bools

UNLABELLED = "object"
"""The class of masks without a label in formats that want one for each."""

_FIELDS = ("predicted_iou", "stability_score", "point_coords", "crop_box")


def class_of(record: Mapping[str, Any]) -> str:
    """A record's first label, or UNLABELLED."""
    return _first(own_of(record)) or UNLABELLED


def added_fields(record: Record) -> dict[str, Any]:
    """What we write into other tools' JSON beside the mask and its class, so that nothing is lost.

    They are a record's own fields under their own names; "samkit" is there always, by which
    `with_added_fields` knows such an entry.
    """
    fields = {key: value for key, value in record.items() if key in _FIELDS}
    return {**fields, OWN_KEY: own_of(record)}


def with_added_fields(
    mask: Bools, record_id: int, entry: Mapping[str, Any], label: str | None
) -> Record:
    """The record of a mask that an entry of another tool's JSON describes.

    mask: (H, W). label: the entry's class, which may have been changed since we wrote the entry and
    then counts. Raises FormatError where what we add is damaged.
    """
    record: dict[str, Any] = dict(from_mask(mask, record_id))
    own: Any = {}
    if OWN_KEY in entry:
        record |= {key: entry[key] for key in _FIELDS if key in entry}
        own = entry[OWN_KEY]
    if not isinstance(own, Mapping):
        record[OWN_KEY] = own  # which `check` refuses with a sentence
    elif label and not (OWN_KEY in entry and label == (_first(own) or UNLABELLED)):
        record[OWN_KEY] = {**own, "labels": [label]}
    else:
        record[OWN_KEY] = own
    return check(record, (mask.shape[0], mask.shape[1]))


def _first(own: Any) -> str | None:
    labels = own.get("labels") if isinstance(own, Mapping) else None
    found = labels[0] if isinstance(labels, list) and labels else None
    return found if isinstance(found, str) and found else None
