"""Transformers folders that are incomplete, of another model, or made to do harm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from samkit.checkpoints import export_transformers
from samkit.modeling import Sam

Refused = Callable[[Path], str]


@pytest.fixture
def folder(tiny: Sam, tmp_path: Path) -> Path:
    export_transformers(tiny, tmp_path / "exported")
    return tmp_path / "exported"


def test_a_folder_without_a_configuration_is_refused(refused: Refused, tmp_path: Path) -> None:
    assert "has no config.json" in refused(tmp_path)


def test_a_folder_without_weights_is_refused(refused: Refused, folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    assert "has no model.safetensors" in refused(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "no JSON"),
        ('{"model_type": "sam2"}', "of type 'sam2'"),
        ("{}", "of type 'None'"),
        ('{"model_type": "sam", "vision_config": 3}', "no JSON object"),
        ('{"model_type": "sam", "vision_config": {"hidden_act": "silu"}}', "hidden_act 'silu'"),
        ('{"model_type": "sam", "vision_config": {"hidden_size": "wide"}}', "embed_dim"),
        ('{"model_type": "sam", "vision_config": {"image_size": [64, 32]}}', "img_size"),
    ],
)
def test_hostile_configurations_of_a_folder_are_refused(
    refused: Refused, text: str, words: str, folder: Path
) -> None:
    (folder / "config.json").write_text(text)

    assert words in refused(folder)


def test_a_preprocessor_with_odd_statistics_is_refused(refused: Refused, folder: Path) -> None:
    for mean in ("[NaN, 1, 1]", "[1e400]", '["a"]', "[1" + "0" * 400 + "]", "3"):
        (folder / "preprocessor_config.json").write_text(f'{{"image_mean": {mean}}}')
        refused(folder)


def test_an_index_cannot_reach_out_of_its_folder(refused: Refused, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = folder / "model.safetensors.index.json"
    for places in ({"a": "../outside.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, ["a"]):
        index.write_text(json.dumps({"weight_map": places}))
        refused(folder)
    index.write_text(json.dumps({"weight_map": {"a": "missing.safetensors"}}))
    assert "lacks 'missing.safetensors'" in refused(folder)


def test_two_fourier_matrices_that_differ_are_refused(refused: Refused, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    again = weights["shared_image_embedding.positional_embedding"] + 1
    weights["prompt_encoder.shared_embedding.positional_embedding"] = again
    save_file(weights, folder / "model.safetensors")

    assert "two Fourier matrices" in refused(folder)


def test_names_that_a_sam_model_does_not_have_are_listed(refused: Refused, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_encoder.weight"] = torch.zeros(1)
    save_file(weights, folder / "model.safetensors")

    assert "'text_encoder.weight'" in refused(folder)
