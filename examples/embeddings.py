"""Embed photographs once, keep the embeddings, and answer prompts later without the encoder.

python examples/embeddings.py PHOTO...
"""

import sys
from pathlib import Path

import samkit
from samkit import images
from samkit.inference import embed_images

sam = samkit.load("default")
photos = [Path(name) for name in sys.argv[1:]]

for photo, embedding in zip(
    photos, embed_images(sam, [images.read(photo) for photo in photos]), strict=True
):
    embedding.save(photo.with_suffix(".embedding"))

predictor = samkit.SamPredictor(sam)
for photo in photos:
    predictor.set_embedding(samkit.ImageEmbedding.load(photo.with_suffix(".embedding")))
    height, width = predictor.original_size
    box = [0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height]
    masks, scores, _ = predictor.predict(box=box, multimask_output=False)
    print(f"{photo.name}: {masks[0].mean():.0%} of the image, predicted IoU {scores[0]:.2f}")
