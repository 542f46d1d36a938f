"""Puts the averaged weights of a training into the package: `bundle_default.py STATE SCORES.json`.

STATE is the folder of a training, SCORES.json what `runs/score_default.py --json` said of it on
`val`.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from samkit import checkpoints
from samkit.checkpoints.known import BUNDLED
from samkit.modeling import VARIANTS, Sam
from samkit.training.recipes import RECIPES

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
    parser.add_argument("state", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args()
    state = torch.load(args.state / "state.pt", map_location="cpu", weights_only=True)
    sam = Sam(VARIANTS["default"])
    sam.load_state_dict(state["averaged"])
    sharpen(sam, SHARPER)
    scores = json.loads(args.scores.read_text())
    provenance = {
        "data": "37 public sources, 2,694 photographs with masks; listed in docs/default-model.md. "
        "dsb2018 and facades were left out. The trunk starts from EfficientNet-Lite0's ImageNet "
        "weights.",
        "recipe": dataclasses.asdict(RECIPES["default"]) | {"steps": state["step"]},
        "metrics": {"val": scores["all"]},
        "licence": LICENCE,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(sam, args.out, provenance=provenance, dtype="float16")
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB after step {state['step']}")


if __name__ == "__main__":
    main()
