"""The state of a run: everything that makes the next step what it would have been."""

from pathlib import Path
from typing import Any

import torch

from samkit.errors import CheckpointError
from samkit.files import atomic_write

FILE = "state.pt"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Writes the state whole or not at all."""
    with atomic_write(folder / FILE) as file:
        torch.save(state, file)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state of a run's folder, None where it has none yet."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable training state: {error}") from error


def seed_everything(seed: int) -> None:
    """Seeds the global generator, which only initialisation and dropout use."""
    torch.manual_seed(seed)
