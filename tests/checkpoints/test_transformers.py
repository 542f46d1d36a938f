"""Both ways between samkit and transformers' own SamModel, and the table of names between them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from samkit.checkpoints import export_transformers, load
from samkit.checkpoints.assemble import skeleton
from samkit.checkpoints.transformers_names import from_official, to_official
from samkit.errors import UsageError
from samkit.modeling import VARIANTS, Sam

NEEDED = "needs the package transformers"


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_renaming_there_and_back_changes_nothing(name: str) -> None:
    official = skeleton(VARIANTS[name], "it", 1000).state_dict()
    theirs = from_official(official)

    back = to_official("it", theirs)

    assert len(theirs) == len(official)
    assert set(back) == set(official)
    assert all(back[key] is tensor for key, tensor in official.items())


def test_what_their_model_cannot_hold_is_not_exported(tiny_pyramid: Sam, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stays with samkit"):
        export_transformers(tiny_pyramid, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_an_upscaling_with_relu_is_not_exported(tiny: Sam, tmp_path: Path) -> None:
    decoder = replace(tiny.config.mask_decoder, upscaling_activation="relu")

    with pytest.raises(UsageError, match="stays with samkit"):
        export_transformers(Sam(replace(tiny.config, mask_decoder=decoder)), tmp_path / "out")


@torch.no_grad()
def their_answer(model: Any, image: torch.Tensor, prompts: dict[str, Any]) -> list[torch.Tensor]:
    out = model(pixel_values=image, multimask_output=True, **prompts)
    return [out.pred_masks[0], out.iou_scores[0]]


@torch.no_grad()
def our_answer(sam: Sam, image: torch.Tensor, prompts: dict[str, Any]) -> list[torch.Tensor]:
    points = None
    if "input_points" in prompts:
        points = prompts["input_points"][0], prompts["input_labels"][0]
    boxes = prompts["input_boxes"][0] if "input_boxes" in prompts else None
    sparse, dense = sam.prompt_encoder(points, boxes, prompts.get("input_masks"))
    embedding, fine = sam.encode(image)
    dense_pe = sam.prompt_encoder.get_dense_pe()
    return list(sam.mask_decoder(embedding, dense_pe, sparse, dense, True, fine))


def prompt_cases(sam: Sam) -> list[dict[str, Any]]:
    points = torch.tensor([[[[20.0, 30.0]], [[50.0, 10.0]]]])  # one image, two prompts of a point
    labels = torch.tensor([[[1], [0]]])
    mask = torch.randn(1, 1, *sam.prompt_encoder.mask_input_size)
    return [
        {"input_points": points, "input_labels": labels},
        {"input_boxes": torch.tensor([[[4.0, 6.0, 40.0, 60.0], [0.0, 0.0, 20.0, 20.0]]])},
        {"input_points": points[:, :1], "input_labels": labels[:, :1], "input_masks": mask},
    ]


def assert_same_answers(sam: Sam, model: Any, rtol: float = 1e-4) -> None:
    size = sam.image_encoder.img_size
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))[:1]
    for prompts in prompt_cases(sam):
        ours, theirs = our_answer(sam, image, prompts), their_answer(model, image, prompts)
        for one, other in zip(ours, theirs, strict=True):
            scale = other.abs().max().item()
            torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * scale)


def test_what_samkit_exports_loads_there_and_says_the_same(tiny: Sam, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason=NEEDED)
    export_transformers(tiny, tmp_path / "out")

    model, report = transformers.SamModel.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )

    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert_same_answers(tiny, model.eval())


def test_their_processor_prepares_images_as_ours_does(tiny: Sam, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason=NEEDED)
    export_transformers(tiny, tmp_path / "out")

    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "out")
    image = torch.randint(0, 256, (40, 64, 3), generator=torch.Generator().manual_seed(0)).numpy()
    theirs = processor(image.astype("uint8"), return_tensors="pt")["pixel_values"]

    ours = tiny.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def their_model(**decoder: Any) -> Any:
    """A small SamModel in which no weight is at its initial value."""
    transformers = pytest.importorskip("transformers", reason=NEEDED)
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "image_size": 96,
            "window_size": 4,
            "global_attn_indexes": [0, 2],
            "output_channels": 32,
            "mlp_dim": 80,
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 96, "mask_input_channels": 8},
        mask_decoder_config={
            "hidden_size": 32,
            "num_attention_heads": 4,
            "mlp_dim": 56,
            "iou_head_hidden_dim": 32,
            **decoder,
        },
    )
    model = transformers.SamModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        shared = model.shared_image_embedding.positional_embedding
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(shared)
    return model


@pytest.mark.parametrize("decoder", [{}, {"iou_head_depth": 2}, {"iou_head_depth": 5}])
def test_what_their_model_saves_loads_here_and_says_the_same(
    decoder: dict[str, Any], tmp_path: Path
) -> None:
    model = their_model(layer_norm_eps=1e-5, **decoder)
    model.save_pretrained(tmp_path / "theirs")

    sam = load(tmp_path / "theirs", device="cpu", dtype="float32")

    assert sam.config.mask_decoder.num_heads == 4
    assert_same_answers(sam, model)


def test_their_own_epsilon_in_the_decoder_makes_no_difference_that_counts(tmp_path: Path) -> None:
    model = their_model()  # 1e-6 where the official decoder has 1e-5
    model.save_pretrained(tmp_path / "theirs")

    assert_same_answers(load(tmp_path / "theirs", device="cpu", dtype="float32"), model, 1e-3)


def test_their_pixel_statistics_are_taken(tiny: Sam, tmp_path: Path) -> None:
    import json

    export_transformers(tiny, tmp_path / "out")
    path = tmp_path / "out" / "preprocessor_config.json"
    values = json.loads(path.read_text())
    assert load(tmp_path / "out", device="cpu").config.pixel_mean == tiny.config.pixel_mean

    path.write_text(json.dumps({**values, "image_mean": [0.5, 0.5, 0.5]}))
    assert load(tmp_path / "out", device="cpu").config.pixel_mean == (127.5, 127.5, 127.5)


def test_a_round_trip_through_their_folder_keeps_every_bit(
    tiny: Sam, tmp_path: Path, same_answer: Callable[[Sam, Sam], bool]
) -> None:
    export_transformers(tiny, tmp_path / "a")
    once = load(tmp_path / "a", device="cpu", dtype="float32")
    export_transformers(once, tmp_path / "b")

    for file in ("model.safetensors", "config.json", "preprocessor_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert same_answer(once, tiny)
