"""Answers of one package to twelve kinds of prompts; `compare_prompts.py` runs it for both.

    python benchmarks/prompts.py samkit|official FOLDER

FOLDER holds `config.json` (a model configuration of samkit), `weights.pt` and `image.npy`;
PACKAGE.npz with the masks of each kind is written beside them.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

POINT, BOX = [[310.0, 205.0]], [150.0, 60.0, 470.0, 330.0]
BOXES = [BOX, [20.0, 20.0, 580.0, 380.0], [240.0, 150.0, 330.0, 240.0], [0.0, 0.0, 90.0, 70.0],
         [400.0, 200.0, 599.0, 399.0]]  # fmt: skip
POINTS = [[[310.0, 205.0], [80.0, 60.0]], [[120.0, 300.0], [300.0, 190.0]],
          [[560.0, 40.0], [30.0, 380.0]]]  # fmt: skip
LABELS = [[1, 0], [1, 1], [1, 0]]


def _one(coords: list[list[float]], labels: list[int], **more: Any) -> dict[str, Any]:
    return {"point_coords": np.array(coords), "point_labels": np.array(labels), **more}


KINDS: dict[str, dict[str, Any]] = {
    "fg": _one(POINT, [1]),
    "bg": _one(POINT, [0]),
    "corner": _one([[0.0, 0.0]], [1]),
    "points3": _one([*POINT, [60.0, 350.0], [400.0, 120.0]], [1, 0, 1]),
    "pad_label": _one([*POINT, [0.0, 0.0]], [1, -1]),
    "box": {"box": np.array(BOX)},
    "box_points": _one([*POINT, [160.0, 70.0]], [1, 0], box=np.array(BOX)),
    "mask_point": _one(POINT, [1], mask_input=True),
    "mask_only": {"mask_input": True},
    "box_mask": {"box": np.array(BOX), "mask_input": True},
    "batch_boxes": {"boxes": BOXES},
    "batch_points": {"point_coords": POINTS, "point_labels": LABELS},
}
"""The kinds of the golden folder, on a picture of 600 x 400 pixels. mask_input: a soft disc."""


def soft_disc(n: int) -> np.ndarray:
    """Low-res logits 1 x n x n."""
    y, x = np.mgrid[:n, :n] / n
    return np.clip(6 - 96 * ((x - 0.45) ** 2 + (y - 0.4) ** 2), -10, 10).astype(np.float32)[None]


def masks_of(predictor: Any, kind: str, multimask: bool) -> np.ndarray:
    """... x H x W bool, by calls that both packages know."""
    given = dict(KINDS[kind])
    if not kind.startswith("batch"):
        if "mask_input" in given:
            given["mask_input"] = soft_disc(4 * predictor.get_image_embedding().shape[-1])
        return predictor.predict(**given, multimask_output=multimask)[0]
    size, transform = predictor.original_size, predictor.transform
    tensors = {name: torch.tensor(values) for name, values in given.items()}
    if "boxes" in tensors:
        tensors["boxes"] = transform.apply_boxes_torch(tensors["boxes"], size)
    else:
        tensors["point_coords"] = transform.apply_coords_torch(tensors["point_coords"], size)
    arguments = {"point_coords": None, "point_labels": None, **tensors}
    return predictor.predict_torch(**arguments, multimask_output=multimask)[0].numpy()


def build(package: str, config: dict[str, Any]) -> tuple[Any, Any]:
    """A model of these sizes, and the class of its predictor."""
    if package == "official":
        sys.path.insert(0, str(Path(__file__).resolve().parent / "official"))
        sam = importlib.import_module("generate").build(config)
        return sam, importlib.import_module("segment_anything").SamPredictor
    modeling = importlib.import_module("samkit.modeling")
    sam = modeling.Sam(modeling.SamConfig.from_dict(config)).eval()
    return sam, importlib.import_module("samkit").SamPredictor


def main() -> None:
    """See above."""
    package, folder = sys.argv[1], Path(sys.argv[2])
    sam, predictor_of = build(package, json.loads((folder / "config.json").read_text()))
    sam.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    predictor = predictor_of(sam)
    predictor.set_image(np.load(folder / "image.npy"))
    answers = {
        f"{kind}, {'multi' if multimask else 'single'}": masks_of(predictor, kind, multimask)
        for kind in KINDS
        for multimask in (True, False)
    }
    np.savez(folder / f"{package}.npz", **answers)


if __name__ == "__main__":
    main()
