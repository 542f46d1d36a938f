"""The graphs answer prompts as the predictor does, by the rules of constants.json alone."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage.data

from samkit import SamPredictor

IMAGE = skimage.data.coffee()
POINT = np.array([[300.0, 200.0]])
POINTS = np.array([[300.0, 200.0], [420.5, 310.25], [100, 50]])
LABELS = np.array([1, 1, 0])
BOX = np.array([150.5, 80, 480, 330.75])

PROMPTS: dict[str, dict[str, Any]] = {
    "point": {"point_coords": POINT, "point_labels": [1]},
    "points": {"point_coords": POINTS, "point_labels": LABELS},
    "many points": {"point_coords": np.repeat(POINTS, 9, 0), "point_labels": np.repeat(LABELS, 9)},
    "box": {"box": BOX},
    "box and points": {"box": BOX, "point_coords": POINTS, "point_labels": LABELS},
    "mask": {"mask_input": True},
    "mask and point": {"mask_input": True, "point_coords": POINT, "point_labels": [0]},
    "mask and box": {"mask_input": True, "box": BOX},
    "all": {"mask_input": True, "box": BOX, "point_coords": POINTS, "point_labels": LABELS},
}


class Page:
    """Prompts on one image as the page gives them to the graphs, from constants.json alone."""

    def __init__(self, folder: Path, graph, predictor: SamPredictor) -> None:
        self.constants = json.loads((folder / "constants.json").read_text())
        graphs = self.constants["graphs"]
        self.decoder = graph(folder / graphs["decoder"]["file"])
        embedding = predictor.embedding
        tensors = {"image_embeddings": embedding.features, **embedding.fine}
        self.image = graph(folder / graphs["image"]["file"])(
            {name: tensors[name].numpy() for name in graphs["image"]["inputs"]}
        )

    def answer(self, point_coords=None, point_labels=None, box=None, mask_input=None):
        labels = self.constants["labels"]
        size = self.constants["img_size"]
        height, width = IMAGE.shape[:2]
        scale = size / max(height, width)
        by = [max(1, int(width * scale + 0.5)) / width, max(1, int(height * scale + 0.5)) / height]
        xy, kinds = [], []
        if point_coords is not None:
            xy, kinds = list(np.asarray(point_coords) * by), list(point_labels)
        if box is not None:
            xy += list(np.reshape(box, (2, 2)) * by)
            kinds += [labels["box_upper_left"], labels["box_lower_right"]]
        elif xy:
            xy.append([0, 0])
            kinds.append(labels["padding"])
        side = self.constants["low_res"]
        given = np.full((1, side, side), 3.0) if mask_input is None else mask_input
        return self.decoder(
            {
                **self.image,
                "point_coords": np.reshape(xy, (1, -1, 2)).astype(np.float32),
                "point_labels": np.reshape(kinds, (1, -1)).astype(np.float32),
                "mask_input": given[None].astype(np.float32),
                "has_mask_input": np.array([mask_input is not None], np.float32),
                "best_only": np.zeros(1, np.float32),
            }
        )


@pytest.fixture(scope="module")
def asked(exported, graph) -> tuple[Page, SamPredictor]:
    sam, folder = exported
    predictor = SamPredictor(sam)
    predictor.set_image(IMAGE)
    return Page(folder, graph, predictor), predictor


@pytest.mark.parametrize("name", PROMPTS)
def test_answers_are_the_predictors(asked, name: str) -> None:
    page, predictor = asked
    prompts = dict(PROMPTS[name])
    if "mask_input" in prompts:
        _, _, earlier = predictor.predict(point_coords=POINT + 40, point_labels=[1])
        prompts["mask_input"] = earlier[1:2]
    found = page.answer(**prompts)
    tokens = page.constants["tokens"]
    for multimask, wanted in ((True, tokens["multi"]), (False, [tokens["single"]])):
        _, scores, low_res = predictor.predict(**prompts, multimask_output=multimask)
        logits = found["low_res_logits"][0, wanted]
        assert np.abs(logits - low_res).max() < 1e-4 * np.abs(low_res).max()
        assert np.abs(found["iou"][0, wanted] - scores).max() < 1e-4
        threshold = page.constants["mask_threshold"]
        for mine, theirs in zip(logits > threshold, low_res > threshold, strict=True):
            assert (mine & theirs).sum() >= 0.9999 * (mine | theirs).sum()


def test_one_prompt_is_answered_by_three_tokens_and_several_by_one(asked) -> None:
    _, predictor = asked
    tokens = {3: "multi", 1: "single"}  # by how many masks the paper's rule gives
    given = [predictor.predict(**PROMPTS[name], multimask_output=None)[0] for name in
             ("point", "points", "box", "box and points")]  # fmt: skip
    assert [tokens[len(masks)] for masks in given] == ["multi", "single", "multi", "single"]


def test_the_last_mask_changes_nothing_unless_it_is_given(asked) -> None:
    page, _ = asked
    feeds = {"point_coords": POINT, "point_labels": [1]}
    side = page.constants["low_res"]
    with_mask = page.answer(**feeds, mask_input=np.full((1, side, side), 3.0))
    assert not np.array_equal(page.answer(**feeds)["iou"], with_mask["iou"])


def test_all_that_one_image_decides_is_in_the_first_graph(exported) -> None:
    sam, folder = exported
    image = onnx.load(folder / "image.onnx").graph
    decoder = onnx.load(folder / "decoder.onnx").graph
    outputs = [value.name for value in image.output]
    assert [value.name for value in decoder.input][: len(outputs)] == outputs
    if not sam.prompt_encoder.prompt_maps:  # cells, and three projections of the first layer
        assert len(outputs) == 4
    assert all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in image.output)


def test_graphs_hold_nothing_that_browsers_lack_and_nothing_of_this_machine(exported) -> None:
    for file in ("image.onnx", "decoder.onnx"):
        model = onnx.load(exported[1] / file)
        onnx.checker.check_model(model, full_check=True)
        kinds = Counter(node.op_type for node in model.graph.node)
        assert not kinds.keys() & {"ScatterND", "ScatterElements", "Einsum", "If", "Loop", "Scan"}
        assert not any(node.domain for node in model.graph.node)
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert ".py" not in (exported[1] / file).read_bytes().decode("latin-1")
