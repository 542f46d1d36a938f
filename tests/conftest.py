"""Fixtures that several rooms use."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SAMKIT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs and data that lies beside the developers' checkouts."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("needs the developers' shared folder, which a user's clone does not have")
    return SHARED
