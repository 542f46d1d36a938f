"""The annotator's server as a process of its own, and what tests ask of it beside the page."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

ROOT = Path(__file__).resolve().parents[2]


class Annotator:
    """`samkit annotate` in a process of its own."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder, self.photos = folder, photos
        self.port = 0
        self.address = ""
        self.tokens: dict[tuple[str, str], str] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it, on the same port as before, and returns the address it prints."""
        command = [sys.executable, "-m", "samkit", "annotate", str(self.photos)]
        command += ["--project", str(self.folder), "--port", str(self.port), "--no-open"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), "the server printed no address"
        self.port = int(self.address.split(":")[2].split("/")[0])
        return self.address

    def kill(self) -> None:
        """kill -9, the model's process included."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, path: str, body: Any = None) -> Any:
        """What the server answers to a GET, or to a POST where there is a body."""
        base, token = self.address.split("#token=")
        request = urllib.request.Request(
            base.rstrip("/") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data = answer.read()
        return json.loads(data) if "json" in answer.headers["content-type"] else data

    def image_id(self, name: str) -> str:
        """The id of a photograph."""
        return next(i["id"] for i in self.ask("/api/images")["images"] if i["name"] == name)

    def address_of(self, name: str, role: str) -> str:
        """The address of a person, who is new the first time."""
        if (name, role) not in self.tokens:
            user = self.ask("/api/users", {"name": name, "role": role})
            self.tokens[name, role] = user["token"]
        return self.address.split("#")[0] + f"#token={self.tokens[name, role]}"

    def state(self, name: str) -> str:
        """The state of a photograph."""
        return next(i["state"] for i in self.ask("/api/images")["images"] if i["name"] == name)

    def put(self, name: str, masks: list[dict[str, Any]]) -> None:
        """Masks from elsewhere: of each the rectangle `box` (x0, y0, x1, y1) and other fields."""
        image = self.ask(f"/api/images/{self.image_id(name)}")
        operations = []
        for i, fields in enumerate(masks):
            x0, y0, x1, y1 = fields.pop("box")
            mask = np.zeros((image["height"], image["width"]), np.uint8, order="F")
            mask[y0:y1, x0:x1] = 1
            rle = {"size": list(mask.shape), "counts": coco.encode(mask)["counts"].decode()}
            own = {"op": f"{image['id']}-{i}", "instance": f"given-{i}", "kind": "put", "base": 0}
            operations.append({**own, "value": {"rle": rle, **fields}})
        sent = {"client": "tests", "operations": operations}
        self.ask(f"/api/images/{image['id']}/operations", sent)

    def instances(self, name: str) -> list[dict[str, Any]]:
        """The masks of a photograph that the server has."""
        return self.ask(f"/api/images/{self.image_id(name)}")["instances"]

    def wait_for(self, job: str) -> dict[str, Any]:
        """The result of a job."""
        for _ in range(3000):
            state = self.ask(f"/api/jobs/{job}")
            if state["state"] not in ("waiting", "running", "queued"):
                return state
            time.sleep(0.1)
        raise AssertionError("the job did not end")
