"""Scores a model on a folder of stores: `python runs/score_default.py MODEL DATA [--clicks N]`.

MODEL is a name, a weight file, or the state folder of a training (then its averaged weights count).
With `--held-out` DATA is the training data, of which only the held-out twentieth is scored. With
`--rules` the rules that need no model answer instead, and MODEL is not read.
"""

import argparse
import json
import zlib
from pathlib import Path

import torch
from train_default import NEW_DOMAINS, held_out

from samkit import images
from samkit.evaluation.promptable import (
    LEAST_PIXELS,
    Score,
    score_photo,
    score_rules,
    table,
)
from samkit.inference.predictor import SamPredictor
from samkit.masks import rle
from samkit.modeling import VARIANTS, Sam


def load_model(name: str) -> Sam:
    """A known model, or the averaged weights of a training state."""
    if Path(name, "state.pt").exists():
        sam = Sam(VARIANTS["default"])
        state = torch.load(Path(name, "state.pt"), map_location="cpu", weights_only=True)
        sam.load_state_dict(state["averaged"])
        print(f"state after step {state['step']}")
        return sam.eval()
    from samkit import checkpoints

    return checkpoints.load(name, device="cpu")


def main() -> None:
    """Prints one line a source and writes a JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--clicks", type=int, default=1)
    parser.add_argument("--rules", action="store_true", help="score the rules instead of a model")
    parser.add_argument("--no-grabcut", action="store_true", help="leave out the slow rule")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--share", type=float, default=1.0, help="share of the images, by name")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    predictor = None if args.rules else SamPredictor(load_model(args.model))
    scores: list[Score] = []
    grabcut = not args.no_grabcut
    for path in sorted(args.data.glob("*/*.json")):
        source = path.parent.name
        if args.held_out and (source in NEW_DOMAINS or not held_out(source, path.stem)):
            continue
        if zlib.crc32(f"{source}/{path.stem}".encode()) % 1000 >= args.share * 1000:
            continue
        record = json.loads(path.read_text())
        masks = [
            rle.decode(a["segmentation"])
            for a in record["annotations"]
            if a["area"] >= LEAST_PIXELS
        ]
        if masks:
            image = images.read(path.with_name(record["image"]["file_name"]))
            if predictor is None:
                scores += [
                    Score(source, path.stem, int(mask.sum()), score_rules(image, mask, grabcut))
                    for mask in masks
                ]
            else:
                scores += score_photo(predictor, source, path.stem, image, masks, args.clicks)
    rows = table(scores)
    known = [s for s in scores if s.source not in NEW_DOMAINS]
    if len(known) < len(scores):
        rows = {"all": rows.pop("all"), "without new domains": table(known)["all"], **rows}
    keys = list(rows["all"])
    print(f"{'':20s}" + "".join(f"{key:>14s}" for key in keys))
    for name, row in rows.items():
        print(f"{name:20s}" + "".join(f"{row[key]:14.3f}" for key in keys))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
