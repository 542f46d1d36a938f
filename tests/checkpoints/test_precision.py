"""Where a model runs and in which type: asked for, measured, remembered."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import samkit.checkpoints.precision as precision
from samkit.checkpoints import choose_device, choose_dtype, load, save
from samkit.errors import UsageError
from samkit.inference import SamPredictor
from samkit.modeling import Sam


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return tmp_path / "answers" / "precision.json"


def test_the_product_is_timed_once_and_the_answer_kept(
    answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = precision.bfloat16_pays(answers)
    kept = json.loads(answers.read_text())
    monkeypatch.setattr(precision, "_measure_ratio", None)

    assert precision.bfloat16_pays(answers) is first
    assert list(kept) == [f"{precision.cpu_model()} / torch {torch.__version__}"]
    assert next(iter(kept.values())) > 0


@pytest.mark.parametrize(("ratio", "pays"), [(0.4, False), (1.4, False), (1.5, True), (8.0, True)])
def test_bfloat16_is_taken_where_the_product_is_clearly_quicker(
    ratio: float, pays: bool, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_measure_ratio", lambda: ratio)

    assert precision.bfloat16_pays(answers) is pays


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"other cpu": 9}', "\x00\xff"])
def test_a_damaged_or_foreign_answer_is_measured_again(
    text: str, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_measure_ratio", lambda: 2.0)
    answers.parent.mkdir()
    answers.write_text(text, "latin-1")

    assert precision.bfloat16_pays(answers)


def test_a_cache_that_cannot_be_written_keeps_no_model_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_measure_ratio", lambda: 2.0)
    (tmp_path / "file").write_text("")

    assert precision.bfloat16_pays(tmp_path / "file" / "precision.json")


def test_auto_is_float32_on_a_cpu_unless_it_pays_and_never_for_a_convolutional_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for pays, expected in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(precision, "bfloat16_pays", lambda pays=pays: pays)
        assert choose_dtype("cpu") == expected
        assert choose_dtype("cpu", vit=False) == torch.float32
        assert choose_dtype("mps") == torch.float32


def test_a_cuda_device_that_multiplies_bfloat16_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, expected in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulation, s=supported: s)
        assert choose_dtype("cuda") == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_type_that_is_asked_for_is_taken(dtype: str) -> None:
    assert choose_dtype("cpu", dtype) == getattr(torch, dtype)
    assert choose_dtype("cpu", getattr(torch, dtype)) == getattr(torch, dtype)


@pytest.mark.parametrize("dtype", ["half", "int8", "", torch.float64, torch.int8])
def test_other_types_are_refused(dtype: str | torch.dtype) -> None:
    with pytest.raises(UsageError, match="no dtype"):
        choose_dtype("cpu", dtype)


def test_the_convolutional_encoder_refuses_half_precision(
    tiny_pyramid: Sam, tmp_path: Path
) -> None:
    save(tiny_pyramid, tmp_path / "a", provenance={})

    with pytest.raises(UsageError, match="float32 only"):
        load(tmp_path / "a", device="cpu", dtype="bfloat16")


LEAST_MEAN_IOU, LEAST_IOU = 0.99, 0.95
"""Of masks with the encoder in bfloat16 and in float32: over all prompts, and of each."""


def test_masks_in_bfloat16_are_those_of_float32_within_the_stated_tolerance(golden) -> None:
    image = golden.image("coffee")
    rounded = copy.deepcopy(golden.build_model("trained"))
    precision.set_encoder_dtype(rounded, torch.bfloat16)
    y, x = np.mgrid[50:400:100, 50:600:100]
    points = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    masks = []
    for sam in (golden.build_model("trained"), rounded):
        predictor = SamPredictor(sam)
        predictor.set_image(image)
        masks.append(predictor.predict_many(points, np.ones((len(points), 1)))[0])
    shared, either = (f(*masks).sum((-1, -2)) for f in (np.logical_and, np.logical_or))
    ious = shared / np.maximum(either, 1)
    assert ious.mean() >= LEAST_MEAN_IOU and ious.min() >= LEAST_IOU
    assert ious.min() < 1  # it is rounded


def test_the_bundled_model_computes_in_float32_even_where_bfloat16_pays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "bfloat16_pays", lambda: True)

    assert {p.dtype for p in load("default", device="cpu").parameters()} == {torch.float32}


def test_devices_are_told_apart() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    assert choose_device().type in ("cuda", "mps", "cpu")
    with pytest.raises(UsageError, match="no device 'gpu'"):
        choose_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(UsageError, match="no device 'cuda:0'"):
        choose_device("cuda:0")
