"""Automatic masks of samkit and of segment-anything 1.0 from PyPI: same weights, same image.

    sh benchmarks/official/setup.sh FOLDER && export SAMKIT_OFFICIAL_PYTHON=FOLDER/bin/python
    python benchmarks/compare_automatic_masks.py [trained|vit_b|NAME ...]

Every mask of either side is matched with the most similar one of the other. The bar: at least 99%
of the masks of each side have a partner at IoU 0.99 or more, where the official side keeps at least
100. Exit code 1 where a case fails it.

`trained` cases need the developers' shared folder (`golden/`); `vit_b` ones take seeded weights,
whose masks all reach to every edge, so that NMS is left off, and many minutes on a CPU.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from pycocotools import mask as coco
from seeded import fill

from samkit.inference import SamAutomaticMaskGenerator
from samkit.modeling import (
    VARIANTS,
    MaskDecoderConfig,
    PromptEncoderConfig,
    Sam,
    SamConfig,
    ViTConfig,
)

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("SAMKIT_SHARED", HERE.parents[1] / "shared"))
BAR, SAME, FEWEST = 0.99, 0.99, 100

TRAINED = SamConfig(
    ViTConfig(128, embed_dim=128, depth=4, num_heads=4, out_chans=128, window_size=5,
              global_attn_indexes=(1, 3)),
    PromptEncoderConfig(embed_dim=128),
    MaskDecoderConfig(mlp_dim=512, iou_head_hidden_dim=128),
)  # fmt: skip
TINY = SamConfig(ViTConfig(256, embed_dim=64, depth=4, num_heads=4, window_size=7,
                            global_attn_indexes=(1, 3)))  # fmt: skip
SEEDED_MODELS = {"vit_b": VARIANTS["vit_b"], "tiny": TINY}
LOW = {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.4}
SEEDED = {"pred_iou_thresh": 0.5, "stability_score_thresh": 0.7, "box_nms_thresh": 1.0,
          "crop_nms_thresh": 1.0}  # fmt: skip
CROPS = {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}


@dataclass(frozen=True)
class Case:
    """A model, a picture of scikit-image, and arguments of the generator."""

    name: str
    model: str
    image: str
    settings: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("trained_whole", "trained", "coffee", LOW),
    Case("trained_crops", "trained", "coffee", LOW | CROPS),
    Case("trained_regions", "trained", "astronaut", LOW | {"min_mask_region_area": 100}),
    Case("trained_two_layers", "trained", "chelsea", LOW | CROPS | {"crop_n_layers": 2}),
    Case("vit_b_whole", "vit_b", "coffee", SEEDED | {"points_per_side": 12}),
    Case("vit_b_crops", "vit_b", "astronaut",
         SEEDED | CROPS | {"points_per_side": 10, "stability_score_thresh": 0.6}),
]  # fmt: skip


def build(name: str) -> Sam:
    """The model of a case."""
    if name in SEEDED_MODELS:
        sam = Sam(SEEDED_MODELS[name])
        fill(sam)
        return sam.eval()
    sam = Sam(TRAINED)
    with np.load(SHARED / "golden" / "trained_weights.npz") as stored:
        weights = {key: torch.from_numpy(stored[key].astype(np.float32)) for key in stored.files}
    sam.load_state_dict(weights)
    return sam.eval()


def official(python: str, sam: Sam, image: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
    """Records and seconds of the official generator, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(sam.config.to_dict()))
        (folder / "settings.json").write_text(json.dumps(settings))
        torch.save(sam.state_dict(), folder / "weights.pt")
        np.save(folder / "image.npy", image)
        subprocess.run([python, HERE / "official" / "generate.py", folder], check=True)
        return json.loads((folder / "records.json").read_text())


def samkit(sam: Sam, image: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
    """The same of samkit."""
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **settings)
    started = time.perf_counter()
    records = generator.generate(image)
    return {"records": records, "seconds": time.perf_counter() - started}


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float]:
    """How many masks of each side have a partner, and how many records stand at the same place."""
    if not ours or not theirs:
        return {"ours matched": 0.0, "theirs matched": 0.0, "same place": 0}
    rles = [[record["segmentation"] for record in side] for side in (ours, theirs)]
    ious = coco.iou(rles[0], rles[1], [False] * len(theirs))
    place = sum(ious[i, i] >= SAME for i in range(min(ious.shape)))
    return {
        "ours matched": float((ious.max(1) >= SAME).mean()),
        "theirs matched": float((ious.max(0) >= SAME).mean()),
        "same place": place,
    }


def main() -> int:
    """Runs the cases whose names begin with any of the arguments; all without any."""
    python = os.environ.get("SAMKIT_OFFICIAL_PYTHON")
    if not python:
        print(__doc__)
        return 2
    wanted = tuple(sys.argv[1:]) or ("",)
    failed = False
    for case in CASES:
        if not case.name.startswith(wanted):
            continue
        sam, image = build(case.model), np.asarray(getattr(skimage.data, case.image)())
        theirs = official(python, sam, image, case.settings)
        ours = samkit(sam, image, case.settings)
        found = compare(ours["records"], theirs["records"])
        good = (
            min(found["ours matched"], found["theirs matched"]) >= BAR
            and len(theirs["records"]) >= FEWEST
        )
        failed |= not good
        print(
            f"{case.name}: samkit {len(ours['records'])} masks in {ours['seconds']:.1f} s, "
            f"official {len(theirs['records'])} in {theirs['seconds']:.1f} s; "
            f"matched {found['ours matched']:.1%} and {found['theirs matched']:.1%}, "
            f"{found['same place']} at the same place: {'good' if good else 'FAILED'}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
