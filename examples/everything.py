"""Segment everything, run the model once, and then try other thresholds in no time.

python examples/everything.py PHOTO
"""

import dataclasses
import sys

import samkit
from samkit import images
from samkit.datasets.store import StoreWriter
from samkit.inference import AutomaticMaskSettings

settings = AutomaticMaskSettings(points_per_side=8, pred_iou_thresh=0.6, stability_score_thresh=0.8)
generator = samkit.SamAutomaticMaskGenerator.from_settings(
    samkit.load("default"), settings, output_mode="coco_rle"
)
candidates = generator.candidates(images.read(sys.argv[1]))  # runs the model

for threshold in (0.5, 0.6, 0.7):
    stricter = dataclasses.replace(settings, pred_iou_thresh=threshold)
    print(f"predicted IoU above {threshold}: {len(generator.select(candidates, stricter))} masks")

with StoreWriter("store") as store:  # the photograph and an SA-1B JSON beside it
    print(store.write(sys.argv[1], generator.select(candidates)))
