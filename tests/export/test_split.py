"""A graph cut in two: both together are the whole."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from samkit.export.split import split


def model() -> onnx.ModelProto:
    """out = late things of (image * w + exp(w)) * prompt, and of early things by themselves."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])
        for name in ("image", "prompt", "out")
    ]
    nodes = [
        helper.make_node("Exp", ["w"], ["e"]),
        helper.make_node("Mul", ["image", "w"], ["scaled"]),
        helper.make_node("Add", ["scaled", "e"], ["early"]),
        helper.make_node("Mul", ["early", "prompt"], ["late"]),
        helper.make_node("Add", ["late", "e"], ["later"]),
        helper.make_node("Add", ["later", "image"], ["latest"]),
        helper.make_node("Add", ["latest", "early"], ["out"]),
    ]
    weight = numpy_helper.from_array(np.array([2.0, 3.0], np.float32), "w")
    graph = helper.make_graph(nodes, "whole", values[:2], values[2:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(part: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(part)
    return dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))


def test_both_together_are_the_whole() -> None:
    first, second = split(model(), {"image"})
    image, prompt = np.array([1.0, -2.0], np.float32), np.array([0.5, 7.0], np.float32)
    passed = run(first, {"image": image})
    w, e = np.array([2.0, 3.0]), np.exp([2.0, 3.0])
    early = image * w + e
    assert {name: value.tolist() for name, value in passed.items()} == {
        "image_0": pytest.approx(early.tolist()),
        "image_1": image.tolist(),
    }
    (out,) = run(second, {**passed, "prompt": prompt}).values()
    assert out == pytest.approx(early * prompt + e + image + early)


def test_each_part_has_only_what_it_needs() -> None:
    first, second = split(model(), {"image"})
    assert [node.op_type for node in first.graph.node] == ["Exp", "Mul", "Add", "Identity"]
    assert [node.op_type for node in second.graph.node] == ["Exp", "Mul", "Add", "Add", "Add"]
    assert [value.name for value in second.graph.input] == ["image_0", "image_1", "prompt"]
    for part in (first, second):
        onnx.checker.check_model(part, full_check=True)
