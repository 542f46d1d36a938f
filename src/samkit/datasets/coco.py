"""COCO instances, in and out; see `coco_reader` and `coco_writer`."""

from samkit.datasets.coco_reader import CocoReader
from samkit.datasets.coco_writer import CocoWriter, is_coco_done

__all__ = ["CocoReader", "CocoWriter", "is_coco_done"]
