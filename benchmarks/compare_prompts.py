"""Masks for prompts of samkit and of segment-anything 1.0 from PyPI: same weights, same image.

    sh benchmarks/official/setup.sh FOLDER && export SAMKIT_OFFICIAL_PYTHON=FOLDER/bin/python
    python benchmarks/compare_prompts.py [trained|tiny|vit_b ...]

Both packages answer twelve kinds of prompts, with three masks and with one, each in a process of
its own that runs the same code (`prompts.py`). The bar: every mask has an IoU of at least 0.999
with the other package's. Exit code 1 where one has less.

`tiny` and `vit_b` have seeded weights; `trained` needs the developers' shared folder (`golden/`).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import torch
from compare_automatic_masks import build
from prompts import KINDS

HERE = Path(__file__).resolve().parent
BAR = 0.999
MODELS = ("trained", "tiny", "vit_b")


def answers(python: str, package: str, folder: Path) -> dict[str, np.ndarray]:
    """Masks K x H x W of a package by kind of prompt, in a process of its own."""
    subprocess.run([python, HERE / "prompts.py", package, folder], check=True)
    with np.load(folder / f"{package}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def least_iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The smallest IoU of a mask with that at the same place; 1 for two empty ones."""
    shared = (ours & theirs).sum((-1, -2))
    either = (ours | theirs).sum((-1, -2))
    return float(np.where(either > 0, shared / np.maximum(either, 1), 1).min())


def main() -> int:
    """Compares the models that the arguments name; all without any."""
    python = os.environ.get("SAMKIT_OFFICIAL_PYTHON")
    if not python or not set(sys.argv[1:]) <= set(MODELS):
        print(__doc__)
        return 2
    image = np.asarray(skimage.data.coffee())
    failed = False
    for name in sys.argv[1:] or MODELS:
        sam = build(name)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "config.json").write_text(json.dumps(sam.config.to_dict()))
            torch.save(sam.state_dict(), folder / "weights.pt")
            np.save(folder / "image.npy", image)
            theirs = answers(python, "official", folder)
            ours = answers(sys.executable, "samkit", folder)
        print(f"\n{name}, least IoU\n\n| prompt | three masks | one mask |\n|---|---|---|")
        for kind in KINDS:
            keys = f"{kind}, multi", f"{kind}, single"
            least = [least_iou(ours[key], theirs[key]) for key in keys]
            failed |= min(least) < BAR
            print(f"| {kind} | {least[0]:.5f} | {least[1]:.5f} |", flush=True)
    print(f"\nevery mask at IoU {BAR} or more: {'FAILED' if failed else 'met'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
