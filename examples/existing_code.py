"""Code written for the official package, with only its import changed.

python examples/existing_code.py CHECKPOINT VARIANT PHOTO
"""

import sys

import numpy as np
from PIL import Image

import samkit as segment_anything

checkpoint, variant, photo = sys.argv[1:]

sam = segment_anything.sam_model_registry[variant](checkpoint=checkpoint)
predictor = segment_anything.SamPredictor(sam)
predictor.set_image(np.array(Image.open(photo).convert("RGB")))
masks, scores, logits = predictor.predict(
    point_coords=np.array([[100, 100]]),
    point_labels=np.array([1]),
    multimask_output=True,
)
print(masks.shape, scores.round(2))
