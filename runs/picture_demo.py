"""Makes docs/pictures/demo.jpg of what `make demo` wrote: `runs/picture_demo.py [demo-out]`."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from samkit.pictures.saving import save_picture

NAMES = ("astronaut", "chelsea", "coffee")
HEIGHT, GAP = 420, 8
OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "demo.jpg"


def main() -> None:
    """Lays the three overlays side by side, all of one height."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out")
    tiles = [Image.open(folder / f"{name}_overlay.jpg") for name in NAMES]
    tiles = [tile.resize((round(tile.width * HEIGHT / tile.height), HEIGHT)) for tile in tiles]
    sheet = Image.new("RGB", (sum(t.width + GAP for t in tiles) - GAP, HEIGHT), "white")
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width + GAP
    save_picture(OUT, np.asarray(sheet))


if __name__ == "__main__":
    main()
