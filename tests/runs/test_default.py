"""`runs/default.sh` with the debug recipe: from images to a scored checkpoint."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from samkit import checkpoints
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter

SCRIPT = Path(__file__).resolve().parents[2] / "runs" / "default.sh"


def write_source(folder: Path, count: int) -> None:
    """Bright boxes on noise."""
    rng = np.random.default_rng(len(str(folder)))
    with StoreWriter(folder) as writer:
        for i in range(count):
            image = rng.integers(0, 100, (180, 240, 3), dtype=np.uint8)
            mask = np.zeros((180, 240), bool)
            mask[40:150, 30 + 20 * i : 150] = True
            image[mask] += 120
            writer.write(image, [from_mask(mask, 1)], name=str(i))


def write_edges(folder: Path) -> None:
    """BSDS500's layout with one image of two annotators."""
    for part in ("images/test", "groundTruth/test"):
        (folder / part).mkdir(parents=True)
    image = np.full((80, 100, 3), 40, np.uint8)
    image[20:60, 30:70] = 220
    Image.fromarray(image).save(folder / "images/test/1.jpg")
    edges = np.zeros((80, 100), np.uint8)
    edges[20, 30:70] = edges[59, 30:70] = 1
    edges[20:60, 30] = edges[20:60, 69] = 1
    truth = np.empty((1, 2), object)
    for i in range(2):
        truth[0, i] = {"Boundaries": edges, "Segmentation": np.ones((80, 100), np.uint16)}
    scipy.io.savemat(folder / "groundTruth/test/1.mat", {"groundTruth": truth})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for source in ("boxes", "more", "dsb2018", "facades"):
        write_source(folder / "train" / source, 2)
    write_source(folder / "val" / "boxes", 2)
    write_edges(folder / "bsds500-test")
    shutil.copytree(folder / "train" / "boxes", folder / "unlabelled")
    return folder


def run(data: Path, out: Path, *flags: str) -> int:
    samkit = out.parent / "samkit"
    samkit.write_text(f'#!/bin/sh\nexec {sys.executable} -m samkit "$@"\n')
    samkit.chmod(0o755)
    environment = os.environ | {"RECIPE": "debug", "INIT": "nothing", "SCENES": "3"}
    environment["SAMKIT"] = str(samkit)
    command = [shutil.which("bash") or "bash", str(SCRIPT), str(data), str(out), *flags]
    return subprocess.run(command, env=environment | {"OMP_NUM_THREADS": "1"}).returncode


def test_images_become_a_scored_checkpoint_in_slices(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(data, out, "--max-minutes", "1e-9", "--shard-mb", "4") == 130  # one step a slice
    assert (out / "state.json").exists() and not (out / "val.json").exists()
    parts = list(out.glob("state-*"))
    assert len(parts) > 3 and max(part.stat().st_size for part in parts) <= 4 << 20
    assert run(data, out) == 0
    about = checkpoints.read_metadata(out / "model.safetensors").provenance
    assert about["data"] == {"boxes": 2, "more": 2, "synthetic": 3}  # the new domains are left out
    assert about["recipe"]["reached"] == 4
    scores = json.loads((out / "val.json").read_text())
    assert {"c1", "c1_best", "c5"} <= set(scores["clicks"]) and "iou_corr" in scores["calibration"]
    assert 0 <= scores["box"]["box"] <= 1 and len(scores["box"]["box_ci"]) == 2
    assert "ods" in json.loads((out / "edges.json").read_text())["edges"]
    for name in ("dsb2018", "facades"):
        assert "c1" in json.loads((out / f"{name}.json").read_text())["clicks"]
