"""What `import samkit` promises: these names, quickly, and the official package's beside them."""

import importlib
import json
import subprocess
import sys
import types
from typing import Any

import pytest

import samkit

PUBLIC = [
    "ImageEmbedding",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "SamkitError",
    "__version__",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "load",
    "sam_model_registry",
]

OFFICIAL = {
    "": [
        "build_sam",
        "build_sam_vit_h",
        "build_sam_vit_l",
        "build_sam_vit_b",
        "sam_model_registry",
        "SamPredictor",
        "SamAutomaticMaskGenerator",
    ],
    "build_sam": [
        "build_sam",
        "build_sam_vit_h",
        "build_sam_vit_l",
        "build_sam_vit_b",
        "sam_model_registry",
    ],
    "predictor": ["SamPredictor"],
    "automatic_mask_generator": ["SamAutomaticMaskGenerator"],
    "modeling": ["Sam", "ImageEncoderViT", "MaskDecoder", "PromptEncoder", "TwoWayTransformer"],
    "modeling.common": ["LayerNorm2d", "MLPBlock"],
    "modeling.image_encoder": ["ImageEncoderViT"],
    "modeling.mask_decoder": ["MaskDecoder"],
    "modeling.prompt_encoder": ["PromptEncoder", "PositionEmbeddingRandom"],
    "modeling.sam": ["Sam"],
    "modeling.transformer": ["TwoWayTransformer", "TwoWayAttentionBlock", "Attention"],
    "utils.transforms": ["ResizeLongestSide"],
    "utils.amg": [
        "area_from_rle",
        "batch_iterator",
        "batched_mask_to_box",
        "box_xyxy_to_xywh",
        "build_all_layer_point_grids",
        "build_point_grid",
        "calculate_stability_score",
        "coco_encode_rle",
        "generate_crop_boxes",
        "is_box_near_crop_edge",
        "mask_to_rle_pytorch",
        "remove_small_regions",
        "rle_to_mask",
        "uncrop_boxes_xyxy",
        "uncrop_masks",
        "uncrop_points",
    ],
}


def in_a_fresh_process(code: str) -> Any:
    """What a program prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_public_names_are_these() -> None:
    assert samkit.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(samkit))
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        samkit.laod  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(samkit, name) is not None


@pytest.mark.parametrize("module", OFFICIAL)
def test_the_official_modules_have_the_official_names(module: str) -> None:
    found = importlib.import_module(f"samkit.{module}".rstrip("."))

    assert [name for name in OFFICIAL[module] if not hasattr(found, name)] == []


def test_import_samkit_loads_neither_torch_nor_numpy() -> None:
    loaded = in_a_fresh_process(
        "import sys, json, samkit; samkit.SamkitError; print(json.dumps(sorted(sys.modules)))"
    )

    heavy = ("torch", "numpy", "PIL", "safetensors", "pycocotools", "rich", "importlib.metadata")
    assert [name for name in loaded if name in heavy] == []


def test_listing_models_does_not_load_torch() -> None:
    loaded = in_a_fresh_process(
        "import sys, json; from samkit.checkpoints import status; status();"
        "import samkit.checkpoints.download; print(json.dumps(sorted(sys.modules)))"
    )

    assert "torch" not in loaded


@pytest.mark.parametrize(
    "first",
    [
        "from samkit.build_sam import build_sam_vit_b",
        "samkit.build_sam, samkit.utils.amg, samkit.modeling.sam",
    ],
)
def test_build_sam_is_the_function_whatever_was_imported_first(first: str, forked: Any) -> None:
    process = forked(
        f"import json, sys, samkit; {first}\n"
        "from samkit.build_sam import sam_model_registry\n"
        "import samkit.build_sam\n"
        "print(json.dumps([type(samkit.build_sam).__name__,"
        "samkit.build_sam is sam_model_registry['default'],"
        "type(sys.modules['samkit.build_sam']).__name__]))"
    )
    said, errors = process.communicate()

    assert process.poll() == 0, errors
    assert json.loads(said) == ["function", True, "module"]


def test_the_package_is_still_a_module_that_reloads() -> None:
    assert isinstance(samkit, types.ModuleType)
    assert importlib.reload(samkit).__all__ == PUBLIC
