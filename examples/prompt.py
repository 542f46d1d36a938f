"""Point at an object: the three masks that one click may mean, and how sure the model is.

python examples/prompt.py PHOTO X Y
"""

import sys

import samkit
from samkit import images
from samkit.pictures.overlay import draw_overlay
from samkit.pictures.prompts import Prompts
from samkit.pictures.saving import save_picture

photo, x, y = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])

image = images.read(photo)  # H x W x 3 uint8 RGB, upright
predictor = samkit.SamPredictor(samkit.load("default"))
predictor.set_image(image)  # the slow part, once for each image

masks, scores, _ = predictor.predict(point_coords=[[x, y]], point_labels=[1])
for rank, index in enumerate((-scores).argsort()):
    print(f"mask {rank}: predicted IoU {scores[index]:.2f}, {masks[index].sum()} pixels")

best = masks[scores.argmax()]
save_picture("best.jpg", draw_overlay(image, [best], prompts=Prompts(points=[[x, y]])))
