"""Parquet in the layout of Hugging Face's datasets: a row for each image, lists for its masks.

    image        struct {bytes: the image's file, path: its name}, which `datasets` decodes
    name         the pair's name
    image_id, width, height
    objects      struct of lists, one entry for each mask: id, bbox [x, y, w, h], area, category
                 (the first label), segmentation {size: [H, W], counts} (COCO RLE, which
                 pycocotools loads), predicted_iou, stability_score, crop_box, point_coords,
                 iscrowd, samkit (what else a record has, as JSON)

It needs pyarrow, the extra `parquet`.
"""

import json
from types import ModuleType
from typing import Any

from samkit.errors import UsageError
from samkit.extras import how_to_install

DATA = "data"
_LISTS: dict[str, Any] = {
    "id": "int64",
    "bbox": ["float64"],
    "area": "int64",
    "category": "string",
    "segmentation": {"size": ["int32"], "counts": "string"},
    "predicted_iou": "float64",
    "stability_score": "float64",
    "crop_box": ["float64"],
    "point_coords": [["float64"]],
    "iscrowd": "bool",
    "samkit": "string",
}
_COLUMNS: dict[str, Any] = {
    "image": {"bytes": "binary", "path": "string"},
    "name": "string",
    "image_id": "int64",
    "width": "int32",
    "height": "int32",
    "objects": {key: [kind] for key, kind in _LISTS.items()},
}


def arrow() -> tuple[ModuleType, ModuleType]:
    """pyarrow and pyarrow.parquet. Raises UsageError where they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Parquet needs the package pyarrow: {how_to_install('parquet')}"
        ) from error
    return pyarrow, parquet


def schema() -> Any:
    """The Arrow schema of such a file, with what `datasets` wants to know of it."""
    pyarrow, _ = arrow()
    fields = [(key, _type(pyarrow, kind)) for key, kind in _COLUMNS.items()]
    features = {key: _feature(kind) for key, kind in _COLUMNS.items()}
    features["image"] = {"_type": "Image"}
    info = {"info": {"features": features}}
    return pyarrow.schema(fields, metadata={"huggingface": json.dumps(info)})


def _type(pyarrow: ModuleType, kind: Any) -> Any:
    if isinstance(kind, list):
        return pyarrow.list_(_type(pyarrow, kind[0]))
    if isinstance(kind, dict):
        return pyarrow.struct([(key, _type(pyarrow, part)) for key, part in kind.items()])
    return pyarrow.bool_() if kind == "bool" else getattr(pyarrow, kind)()


def _feature(kind: Any) -> Any:
    """A type in the words of `datasets`, old and new."""
    if isinstance(kind, list):
        return [_feature(kind[0])]
    if isinstance(kind, dict):
        return {key: _feature(part) for key, part in kind.items()}
    return {"dtype": kind, "_type": "Value"}
