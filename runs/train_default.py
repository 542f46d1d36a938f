"""Trains the bundled default model: `python runs/train_default.py DATA OUT [--steps N]`.

DATA is a folder of SA-1B stores, one a source. The sources `dsb2018` and `facades` are left out
(they stay new domains), and so is every image whose name hashes into the held-out twentieth.
"""

import argparse
import dataclasses
import hashlib
import json
import time
from pathlib import Path

import torch

from samkit import images
from samkit.checkpoints.imagenet import find_lite, load_trunk
from samkit.modeling import VARIANTS, Sam
from samkit.training.loader import Photo
from samkit.training.loop import Trainer
from samkit.training.recipes import RECIPES

NEW_DOMAINS = ("dsb2018", "facades")


def held_out(source: str, name: str) -> bool:
    """Whether an image of `train` belongs to the split on which checkpoints are chosen."""
    return hashlib.sha256(f"{source}/{name}".encode()).digest()[0] < 13  # one in twenty


def read_photos(data: Path, held: bool) -> list[Photo]:
    """All labelled photographs of the folder that are, or are not, held out."""
    photos = []
    for path in sorted(data.glob("*/*.json")):
        source = path.parent.name
        if source in NEW_DOMAINS or held_out(source, path.stem) != held:
            continue
        record = json.loads(path.read_text())
        if record["annotations"]:
            image = images.read(path.with_name(record["image"]["file_name"]))
            photos.append(Photo(source, path.stem, image, record["annotations"]))
    return photos


def main() -> None:
    """Trains, or goes on where the folder's state ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--until", type=int)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = RECIPES[args.recipe]
    if args.steps:
        recipe = dataclasses.replace(recipe, steps=args.steps)
    torch.manual_seed(recipe.seed)
    sam = Sam(VARIANTS["default"])
    load_trunk(sam.image_encoder, find_lite(0))
    began = time.time()
    photos = read_photos(args.data, held=False)
    print(f"{len(photos)} photographs in {time.time() - began:.0f} s", flush=True)
    trainer = Trainer(sam, photos, recipe, args.out)
    recent: list[dict[str, float]] = []

    def report(step: int, seen: dict[str, float]) -> None:
        recent.append(seen)
        if step % 25 == 0:
            keys = ("loss", "c1", "c1_best", "c2", "c3", "box", "norm", "seconds")
            values = {k: [s[k] for s in recent if k in s] for k in keys}
            text = "  ".join(f"{k} {sum(v) / len(v):.3f}" for k, v in values.items() if v)
            print(f"{step:5d}  {text}", flush=True)
            recent.clear()

    trainer.run(until=args.until, report=report)


if __name__ == "__main__":
    main()
