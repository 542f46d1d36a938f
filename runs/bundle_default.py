"""Puts the weights of a run into the package: `python runs/bundle_default.py RUN SCORES.json`.

RUN is what `samkit train` wrote, SCORES.json what `samkit evaluate --json` said of its weights.
"""

import argparse
import json
from pathlib import Path

import torch

from samkit import checkpoints
from samkit.checkpoints.known import BUNDLED
from samkit.modeling import Sam
from samkit.training.loop import MODEL

LICENCE = (
    "Weights for research and trial: parts of the training data forbid commercial use or do not "
    "say. The code is Apache-2.0."
)


SHARPER = 4.0
"""Training with normalised focal loss leaves logits flat, and stability scores (offset 1) near
zero. They are made steeper by this factor; masks, scores and answers to fed-back logits stay."""


def sharpen(sam: Sam, factor: float) -> None:
    """Multiplies mask logits by a factor, and divides by it where they come back as a prompt."""
    with torch.no_grad():
        for mlp in sam.mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight *= factor
            mlp.layers[-1].bias *= factor
        sam.prompt_encoder.mask_downscaling[0].weight[:, -1] /= factor


def main() -> None:
    """Writes src/samkit/assets/default.safetensors as float16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args()
    sam = checkpoints.load(args.run / MODEL, device="cpu", dtype="float32")
    sharpen(sam, SHARPER)
    about = checkpoints.read_metadata(args.run / MODEL).provenance
    protocols = json.loads(args.scores.read_text())
    scores = {
        name: {key: value for key, value in protocols[name].items() if key != "bins"}
        for name in ("clicks", "box", "calibration")
    }
    about |= {
        "init": Path(str(about.get("init"))).name,
        "metrics": {"held out": about["metrics"], "val": scores},
        "licence": LICENCE,
        "logits": f"{SHARPER:g} times steeper than trained",
    }
    checkpoints.save(sam, args.out, provenance=about, dtype="float16")
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
