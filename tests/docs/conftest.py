"""A folder in which the blocks of the docs find what they speak of."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from samkit.datasets.png import write_mask
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter

_DATA = Path(skimage.__file__).parent / "data"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: photo.jpg (600 x 400), photos/, my_folder/ and other files."""
    with Image.open(_DATA / "coffee.png") as picture:
        picture.save(tmp_path / "photo.jpg", quality=95)
    (tmp_path / "photos").mkdir()
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "photos" / "coffee.jpg")
    (tmp_path / "boxes.json").write_text(json.dumps([[80, 60, 400, 300], [10, 10, 120, 200]]))
    rough = np.zeros((400, 600), bool)
    rough[100:300, 150:350] = True
    write_mask(tmp_path / "rough.png", rough)
    with StoreWriter(tmp_path / "my_folder") as writer:
        writer.write(tmp_path / "photo.jpg", [from_mask(rough, 1)], name="sub/name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path
