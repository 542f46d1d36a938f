"""`samkit export`: graphs that do what the model does."""

import sys

import numpy as np
import pytest

from samkit import SamPredictor, images, load
from samkit.inference.transforms import ResizeLongestSide

pytest.importorskip("onnx", reason="needs onnx (samkit[onnx])")
pytest.importorskip("onnxscript", reason="needs onnxscript (samkit[onnx])")


def run(path, feeds):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (samkit[onnx])")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, feeds), strict=True))


@pytest.mark.slow
def test_encoder_and_decoder_together_answer_a_prompt_without_torch(
    samkit, tiny, here, photograph
) -> None:
    done = samkit("export", tiny, "--decoder", "--encoder", "-o", "out")
    assert (done.code, done.err) == (0, "")
    written = [line.split(": ")[0] for line in done.out.splitlines()]
    assert written == [
        f"out/{name}" for name in ("image.onnx", "decoder.onnx", "constants.json", "encoder.onnx")
    ]
    assert sorted(path.name for path in (here / "out").iterdir()) == sorted(
        name.removeprefix("out/") for name in written
    )
    picture = images.read(photograph(here / "a.png"))  # 40 x 60
    predictor = SamPredictor(load(tiny, device="cpu"))
    predictor.set_image(picture)
    _, scores, low_res = predictor.predict(np.array([[30.0, 20.0]]), np.array([1]))

    resized = ResizeLongestSide(64).apply_image(picture).astype(np.float32)
    normal = (resized - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    padded = np.zeros((1, 3, 64, 64), np.float32)
    padded[0, :, : normal.shape[0]] = normal.transpose(2, 0, 1)
    known = run("out/image.onnx", run("out/encoder.onnx", {"image": padded}))
    points = np.array([[[30 * 64 / 60, 20 * 43 / 40], [0, 0]]], np.float32)
    answer = run(
        "out/decoder.onnx",
        {
            **known,
            "point_coords": points,
            "point_labels": np.array([[1, -1]], np.float32),
            "mask_input": np.zeros((1, 1, 16, 16), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "best_only": np.zeros(1, np.float32),
        },
    )
    assert np.abs(answer["low_res_logits"][0, 1:] - low_res).max() < 1e-4 * np.abs(low_res).max()
    assert np.abs(answer["iou"][0, 1:] - scores).max() < 1e-4


def test_nothing_to_export_is_one_sentence(samkit, tiny) -> None:
    done = samkit("export", tiny, "-o", "out")
    assert done.code == 2
    assert "--decoder, --encoder or both" in done.err


@pytest.mark.parametrize("opset", ["11", "99"])
def test_an_unknown_opset_is_one_sentence_and_writes_nothing(
    opset: str, samkit, tiny, here
) -> None:
    done = samkit("export", tiny, "--decoder", "--opset", opset, "-o", "out")
    assert done.code == 2
    assert f"opset 18 to 23, not {opset}" in done.err
    assert not (here / "out").exists()


def test_a_missing_package_is_named(samkit, tiny, here, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = samkit("export", tiny, "--decoder", "-o", "out")
    assert done.code == 2
    assert "the package onnx:" in done.err and "[onnx]'" in done.err
    assert not (here / "out").exists()
