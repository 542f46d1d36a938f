"""One graph into two: what only the image decides, and the rest.

Which node belongs where follows from what it depends on, so that the module which became the graph
need not say it. What depends on neither image nor prompt goes wherever it is needed; runtimes
compute it once, when they load the graph.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from onnx import ModelProto, NodeProto, ValueInfoProto, helper, shape_inference

PASSED = "image_"
"""Names of the tensors that go from one graph to the other begin so; numbers follow."""


def split(model: ModelProto, image_inputs: Collection[str]) -> tuple[ModelProto, ModelProto]:
    """The graph of the image side, and the graph that takes its outputs and the other inputs.

    model: a graph without subgraphs, whose tensors all have known types and shapes. image_inputs:
        the inputs that are known before all others.
    The first has the image inputs and makes `image_0`, `image_1`, …; the second has all of these
    and the other inputs, and the outputs of the model.
    """
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    prompts = {value.name for value in graph.input} - set(image_inputs)
    late = _dependent(graph.node, prompts)
    early = _dependent(graph.node, set(image_inputs)) - late
    groups = _Groups(
        [node for node in graph.node if not (early | late).intersection(node.output)],
        [node for node in graph.node if early.intersection(node.output)],
        [node for node in graph.node if late.intersection(node.output)],
    )
    wanted = [name for node in groups.late for name in node.input if name in early]
    passed = {name: f"{PASSED}{i}" for i, name in enumerate(dict.fromkeys(wanted))}
    typed = {value.name: value for value in (*graph.value_info, *graph.input)}
    between = [_renamed(typed[old], new) for old, new in passed.items()]
    for old in image_inputs:
        if old in passed:  # unchanged, but all that the second graph takes comes from the first
            groups.early.append(helper.make_node("Identity", [old], [passed[old]]))
    made = {old: new for old, new in passed.items() if old not in image_inputs}
    inputs = [value for value in graph.input if value.name in image_inputs]
    others = [value for value in graph.input if value.name in prompts]
    return (
        _part(model, "image", groups.constant, groups.early, inputs, between, made),
        _part(
            model,
            "decoder",
            groups.constant,
            groups.late,
            [*between, *others],
            list(graph.output),
            passed,
        ),
    )


class _Groups(NamedTuple):
    constant: list[NodeProto]
    early: list[NodeProto]
    late: list[NodeProto]


def _dependent(nodes: Iterable[NodeProto], inputs: set[str]) -> set[str]:
    """Inputs and all tensors that depend on any of them."""
    found = set(inputs)
    for node in nodes:  # they are in an order in which they can run
        if found.intersection(node.input):
            found.update(node.output)
    return found


def _part(
    model: ModelProto,
    name: str,
    constants: Sequence[NodeProto],
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    new_names: Mapping[str, str],
) -> ModelProto:
    """A model of some nodes and of the constants that they need, some tensors renamed."""
    needed = {used for node in nodes for used in node.input}
    kept: list[NodeProto] = []
    for node in reversed(constants):
        if needed.intersection(node.output):
            kept.insert(0, node)
            needed.update(node.input)
    part = helper.make_graph(
        [_with_names(node, new_names) for node in (*kept, *nodes)],
        name,
        inputs,
        outputs,
        [weight for weight in model.graph.initializer if weight.name in needed],
    )
    return helper.make_model(
        part,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name="samkit",
    )


def _with_names(node: NodeProto, new_names: Mapping[str, str]) -> NodeProto:
    renamed = NodeProto()
    renamed.CopyFrom(node)
    for names in (renamed.input, renamed.output):
        names[:] = [new_names.get(name, name) for name in names]
    return renamed


def _renamed(value: ValueInfoProto, name: str) -> ValueInfoProto:
    renamed = ValueInfoProto()
    renamed.name = name
    renamed.type.CopyFrom(value.type)
    return renamed
