"""Remakes docs/pictures/dead-leaves.jpg: `python runs/picture_dead_leaves.py [PHOTOS…]`.

Six synthetic scenes and the masks of the lower three; with PHOTOS, textures are cut from them.
"""

import sys
from pathlib import Path

from PIL import Image

from samkit.datasets.dead_leaves import DeadLeaves
from samkit.pictures.contact_sheet import contact_sheet
from samkit.pictures.overlay import draw_overlay

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "dead-leaves.jpg"
SCENES = (6, 13, 18, 23, 9, 4)


def main() -> None:
    """Draws and saves it."""
    reader = DeadLeaves(100, size=512, seed=0, textures=sys.argv[1:] or None)
    pairs = [reader[index] for index in SCENES]
    masks = [draw_overlay(pair.image(), pair.records) for pair in pairs[3:]]
    sheet = contact_sheet([pair.image() for pair in pairs] + masks, columns=3, tile=240, gap=4)
    Image.fromarray(sheet).save(PICTURE, quality=72)  # small, for it lies in the repository


if __name__ == "__main__":
    main()
