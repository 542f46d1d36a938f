"""The bundled model and one with the decoder of ViT-B, exported once, and what runs graphs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import samkit
from samkit.export import write_decoder
from samkit.modeling import VARIANTS, Sam, ViTConfig

pytest.importorskip("onnx", reason="needs onnx (samkit[onnx])")


def vit_b_decoder() -> Sam:
    """A seeded model whose decoder has the sizes of ViT-B's (256 wide, 64 x 64 cells)."""
    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=16, depth=1, num_heads=1, global_attn_indexes=(), window_size=8)
    sam = Sam(replace(VARIANTS["vit_b"], image_encoder=encoder, variant="")).eval()
    for name, parameter in sam.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return sam


@pytest.fixture(scope="session", params=["default", pytest.param("vit_b", marks=pytest.mark.slow)])
def exported(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sam, Path]:
    """A model and the folder of its decoder's files."""
    sam = samkit.load("default", device="cpu") if request.param == "default" else vit_b_decoder()
    folder = tmp_path_factory.mktemp(request.param)
    write_decoder(sam, folder)
    return sam, folder


class Graph:
    """An ONNX file in onnxruntime, one thread, as the page loads it."""

    def __init__(self, path: Path) -> None:
        runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (samkit[onnx])")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        self.session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
        names = [value.name for value in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds), strict=True))


@pytest.fixture(scope="session")
def graph() -> Iterator[type[Graph]]:
    """`Graph`."""
    yield Graph
