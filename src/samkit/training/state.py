"""The state of a run on disk: everything that makes the next step what it would have been.

    state.json                   {"format": "samkit state", "version": 1, "step": …,
                                 "parts": [{"file", "sha256", "bytes"}, …]}
    state-00000100-5f0c3a91.0    the bytes of torch's file, cut into parts

The parts of a new state are written beside the old ones under names that are new at every saving,
then `state.json` is replaced at once, and then the old parts are removed: whatever happens, the
folder holds a complete state.
"""

import contextlib
import io
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import torch

from samkit.errors import CheckpointError, SamkitError
from samkit.files import atomic_write, sha256_of, write_json

MANIFEST = "state.json"
_FORMAT = "samkit state"
_PART = re.compile(r"state-\d{8}(-[0-9a-f]{8})?\.\d+")  # parts of older runs have no token


def save_state(folder: Path, state: dict[str, Any], part_bytes: int | None = None) -> None:
    """Writes a state, in parts of at most `part_bytes` where that is given.

    state: what torch saves, with the number of its `step`. Raises SamkitError where the disk is
    full or the folder cannot be written; the state before then still stands.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getbuffer()
    size = part_bytes or max(1, len(data))
    stem = f"state-{state['step']:08d}-{secrets.token_hex(4)}"
    parts = []
    for number, start in enumerate(range(0, len(data), size)):
        path = folder / f"{stem}.{number}"
        with atomic_write(path) as file:
            file.write(data[start : start + size])
        parts.append({"file": path.name, "sha256": sha256_of(path), "bytes": path.stat().st_size})
    value = {"format": _FORMAT, "version": 1, "step": state["step"], "parts": parts}
    write_json(folder / MANIFEST, value, indent=1)
    kept = {part["file"] for part in parts}
    for old in folder.iterdir():
        if _PART.fullmatch(old.name) and old.name not in kept:
            with contextlib.suppress(OSError):
                old.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state of a run's folder, on the CPU; None where it has none yet.

    Raises CheckpointError where the state is damaged.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    broken = CheckpointError(
        f"The state of the run in {folder} is damaged; restore its files, or remove {MANIFEST} to "
        "begin anew."
    )
    try:
        value = json.loads(manifest.read_bytes())
        if value["format"] != _FORMAT or value["version"] != 1:
            raise broken
        buffer = io.BytesIO()
        for part in value["parts"]:
            if not _PART.fullmatch(part["file"]):
                raise broken
            path = folder / part["file"]
            if os.path.getsize(path) != part["bytes"] or sha256_of(path) != part["sha256"]:
                raise broken
            buffer.write(path.read_bytes())
        buffer.seek(0)
        state = torch.load(buffer, map_location="cpu", weights_only=True)
    except SamkitError:
        raise
    except Exception as error:
        raise broken from error
    if not isinstance(state, dict) or state.get("step") != value["step"]:
        raise broken
    return state
