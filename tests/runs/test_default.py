"""`runs/default.sh` with the debug recipe: from images to a scored checkpoint."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from samkit import checkpoints
from samkit.cli.main import main
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter
from samkit.evaluation import edge_maps

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
    for source, count in (("boxes", 2), ("more", 2), ("dsb2018", 1), ("facades", 1)):
        write_source(folder / "train" / source, count)
    write_source(folder / "val" / "boxes", 2)
    write_edges(folder / "bsds500-test")
    shutil.copytree(folder / "train" / "boxes", folder / "unlabelled")
    return folder


CLIENT = """#!{python} -ISE
import json, socket, sys
with socket.create_connection(("127.0.0.1", {port})) as connection:
    connection.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    sys.exit(int(connection.makefile().read()))
"""


def run(data: Path, out: Path, *flags: str) -> int:
    """The script with a `samkit` that is done here, since each start of another loads torch."""
    with socket.create_server(("127.0.0.1", 0)) as here:
        samkit = out.parent / "samkit"
        samkit.write_text(CLIENT.format(python=sys.executable, port=here.getsockname()[1]))
        samkit.chmod(0o755)
        environment = os.environ | {"RECIPE": "debug", "INIT": "nothing", "SCENES": "3"}
        environment["SAMKIT"] = str(samkit)
        command = [shutil.which("bash") or "bash", str(SCRIPT), str(data), str(out), *flags]
        script = subprocess.Popen(command, env=environment)
        here.settimeout(0.1)
        while script.poll() is None:
            with contextlib.suppress(TimeoutError), here.accept()[0] as connection:
                connection.settimeout(60)
                code = main(json.loads(connection.makefile().readline()))
                connection.sendall(str(code).encode())
    return script.wait()


def test_images_become_a_scored_checkpoint_in_slices(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    few = 4  # points for edges instead of 16 x 16, which tests/cli has
    monkeypatch.setattr(edge_maps, "POINTS_PER_SIDE", few)
    monkeypatch.setattr(edge_maps, "SETTINGS", replace(edge_maps.SETTINGS, points_per_side=few))
    out = tmp_path / "run"
    assert run(data, out, "--max-minutes", "1e-9", "--shard-mb", "4") == 130  # one step a slice
    assert (out / "state.json").exists() and not (out / "val.json").exists()
    parts = list(out.glob("state-*"))
    assert len(parts) > 3 and max(part.stat().st_size for part in parts) <= 4 << 20
    assert run(data, out, "--save-every", "4") == 0
    rows = [line.split(" | ")[:2] for line in capfd.readouterr().out.splitlines() if "|" in line]
    assert [row[0].strip("| *") for row in rows[2:]] == [
        *("training sources, val", "new domains", "boxes", "dsb2018", "facades")
    ]
    assert [int(row[1]) for row in rows[2:]] == [2, 2, 2, 1, 1]
    about = checkpoints.read_metadata(out / "model.safetensors").provenance
    assert about["data"] == {"boxes": 2, "more": 2, "synthetic": 3}  # the new domains are left out
    assert about["recipe"]["reached"] == 4
    scores = json.loads((out / "val.json").read_text())
    assert {"c1", "c1_best", "c5"} <= set(scores["clicks"]) and "iou_corr" in scores["calibration"]
    assert 0 <= scores["box"]["box"] <= 1 and len(scores["box"]["box_ci"]) == 2
    assert "ods" in json.loads((out / "edges.json").read_text())["edges"]
    for name in ("dsb2018", "facades"):
        assert "c1" in json.loads((out / f"{name}.json").read_text())["clicks"]
