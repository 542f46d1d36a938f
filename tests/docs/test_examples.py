"""Every script in examples/ runs, as its first lines say, with the bundled model."""

import json
import runpy
import sys
from pathlib import Path

import pytest

import samkit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs an example with arguments; what it printed."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_all_examples_are_tested_and_say_how_they_are_called() -> None:
    tests = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tests
        assert f"python examples/{path.name} " in path.read_text()


def test_prompt(example, workplace: Path) -> None:
    out = example("prompt.py", "photo.jpg", "300", "200")
    assert out.count("predicted IoU") == 3
    assert (workplace / "best.jpg").exists()


def test_everything(example, workplace: Path) -> None:
    out = example("everything.py", "photo.jpg")
    counts = [int(line.split(": ")[1].split()[0]) for line in out.splitlines()[:3]]
    assert counts == sorted(counts, reverse=True)
    assert "annotations" in json.loads((workplace / "store" / "photo.json").read_text())
    assert (workplace / "store" / "photo.jpg").exists()


def test_embeddings(example, workplace: Path) -> None:
    assert "of the image" in example("embeddings.py", "photo.jpg", "photos/coffee.jpg")
    assert (workplace / "photos" / "coffee.embedding").exists()


def test_existing_code(example, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"small": lambda checkpoint: samkit.load(checkpoint, device="cpu")}
    monkeypatch.setattr(samkit, "sam_model_registry", small)  # the published ones are large
    assert "(3, 400, 600)" in example("existing_code.py", "default", "small", "photo.jpg")
