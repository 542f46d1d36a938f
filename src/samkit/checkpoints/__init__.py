"""Weights in and out: every format, their names, hashes, cache and download.

Names are looked up when they are first used, so that listing models does not import torch.
"""

from typing import TYPE_CHECKING

from samkit.lazy import lazily

if TYPE_CHECKING:
    from samkit.checkpoints.identity import model_id
    from samkit.checkpoints.known import KNOWN, KnownCheckpoint, ModelStatus, status
    from samkit.checkpoints.loading import load
    from samkit.checkpoints.precision import choose_device, choose_dtype
    from samkit.checkpoints.samkit_files import Metadata, read_metadata, save
    from samkit.checkpoints.transformers_folder import export_transformers

__all__ = [
    "KNOWN",
    "KnownCheckpoint",
    "Metadata",
    "ModelStatus",
    "choose_device",
    "choose_dtype",
    "export_transformers",
    "load",
    "model_id",
    "read_metadata",
    "save",
    "status",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "identity": ("model_id",),
        "known": ("KNOWN", "KnownCheckpoint", "ModelStatus", "status"),
        "loading": ("load",),
        "precision": ("choose_device", "choose_dtype"),
        "samkit_files": ("Metadata", "read_metadata", "save"),
        "transformers_folder": ("export_transformers",),
    },
)
