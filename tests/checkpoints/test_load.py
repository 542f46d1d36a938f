"""`samkit.load` and the official builders: every format gives back the model that was saved."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samkit.checkpoints import export_transformers, load, save
from samkit.errors import CheckpointError, UsageError
from samkit.modeling import VARIANTS, Sam

Same = Callable[[Sam, Sam], bool]


def write_official(sam: Sam, folder: Path) -> Path:
    torch.save(sam.state_dict(), folder / "sam.pth")
    return folder / "sam.pth"


def write_wrapped(sam: Sam, folder: Path) -> Path:
    weights = {f"module.{name}": tensor for name, tensor in sam.state_dict().items()}
    torch.save({"epoch": 3, "model": weights}, folder / "run.pt")
    return folder / "run.pt"


def write_samkit(sam: Sam, folder: Path) -> Path:
    save(sam, folder / "ours", provenance={})
    return folder / "ours"


def write_transformers(sam: Sam, folder: Path) -> Path:
    export_transformers(sam, folder / "exported")
    return folder / "exported"


def write_transformers_file(sam: Sam, folder: Path) -> Path:
    return write_transformers(sam, folder) / "model.safetensors"


def write_bare_transformers_file(sam: Sam, folder: Path) -> Path:
    path = write_transformers_file(sam, folder)
    (path.parent / "config.json").unlink()
    return path


def write_official_safetensors(sam: Sam, folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file(sam.state_dict(), folder / "sam.safetensors")
    return folder / "sam.safetensors"


WRITERS = [
    write_official,
    write_wrapped,
    write_samkit,
    write_transformers,
    write_transformers_file,
    write_bare_transformers_file,
    write_official_safetensors,
]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_back_the_model_that_was_saved(
    write: Callable[[Sam, Path], Path], tiny: Sam, tmp_path: Path, same_answer: Same
) -> None:
    loaded = load(write(tiny, tmp_path), device="cpu", dtype="float32")

    assert loaded.config == tiny.config
    assert not loaded.training
    assert same_answer(loaded, tiny)


def test_the_convolutional_model_comes_back_from_our_format(
    tiny_pyramid: Sam, tmp_path: Path, same_answer: Same
) -> None:
    loaded = load(write_samkit(tiny_pyramid, tmp_path), device="cpu")

    assert loaded.config == tiny_pyramid.config
    assert same_answer(loaded, tiny_pyramid)


def test_a_loaded_model_owns_its_weights_and_can_be_trained(tiny: Sam, tmp_path: Path) -> None:
    path = write_official(tiny, tmp_path)
    with torch.inference_mode():
        loaded = load(path, device="cpu", dtype="float32")
    path.write_bytes(bytes(path.stat().st_size))

    assert torch.equal(loaded.image_encoder.pos_embed, tiny.image_encoder.pos_embed)
    loaded.image_encoder(torch.zeros(1, 3, 64, 64)).sum().backward()
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.image_encoder.pos_embed.grad is not None


def test_the_golden_trained_weights_load_as_the_official_file_they_would_be(
    golden, tmp_path: Path, same_answer: Same
) -> None:
    trained = golden.build_model("trained")

    loaded = load(write_official(trained, tmp_path), device="cpu", dtype="float32")

    assert loaded.config == trained.config
    assert same_answer(loaded, trained)


def test_half_precision_files_become_float32_models(tiny: Sam, tmp_path: Path) -> None:
    weights = {name: tensor.half() for name, tensor in tiny.state_dict().items()}
    torch.save(weights, tmp_path / "half.pth")

    loaded = load(tmp_path / "half.pth", device="cpu", dtype="float32")

    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.image_encoder.pos_embed, weights["image_encoder.pos_embed"].float())


def test_another_image_size_is_taken_and_changes_what_prompts_refer_to(
    tiny: Sam, tmp_path: Path
) -> None:
    loaded = load(write_official(tiny, tmp_path), device="cpu", img_size=96)

    assert loaded.image_encoder.img_size == 96
    assert loaded.prompt_encoder.input_image_size == (96, 96)
    assert loaded.image_encoder(torch.zeros(1, 3, 96, 96)).shape == (1, 16, 6, 6)


@pytest.mark.parametrize("img_size", [0, -16, 100, 64.0, True])
def test_an_impossible_image_size_is_refused(img_size: int, tiny: Sam, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="image size"):
        load(write_official(tiny, tmp_path), device="cpu", img_size=img_size)


def test_sharded_transformers_folders_are_read(
    tiny: Sam, tmp_path: Path, same_answer: Same
) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_transformers(tiny, tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for file in set(places.values()):
        save_file({n: t for n, t in weights.items() if places[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    assert same_answer(load(folder, device="cpu", dtype="float32"), tiny)


def test_pickled_transformers_folders_are_read_by_the_weights_only_reader(
    tiny: Sam, tmp_path: Path, same_answer: Same
) -> None:
    from safetensors.torch import load_file

    folder = write_transformers(tiny, tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["prompt_encoder.shared_embedding.positional_embedding"] = weights[
        "shared_image_embedding.positional_embedding"
    ]
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert same_answer(load(folder, device="cpu", dtype="float32"), tiny)


def test_missing_left_over_and_misshapen_tensors_are_listed_and_counted(
    tiny: Sam, tmp_path: Path
) -> None:
    weights = tiny.state_dict()
    for name in [n for n in weights if "cross_attn_image_to_token" in n]:
        del weights[name]
    weights["mask_decoder.hf_token.weight"] = torch.zeros(1, 16)
    weights["prompt_encoder.not_a_point_embed.weight"] = torch.zeros(1, 17)
    torch.save(weights, tmp_path / "odd.pth")

    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "odd.pth", device="cpu")

    text = str(caught.value)
    assert "missing: mask_decoder.transformer.layers.0.cross_attn_image_to_token" in text
    assert "and 11 more" in text
    assert "unexpected: 'mask_decoder.hf_token.weight'" in text
    assert "not_a_point_embed.weight (1, 17) for (1, 16)" in text


def test_half_precision_is_the_encoder_s_alone_and_answers_stay_close(
    tiny: Sam, tmp_path: Path
) -> None:
    path = write_official(tiny, tmp_path)

    loaded = load(path, device="cpu", dtype="bfloat16")

    assert {p.dtype for p in loaded.image_encoder.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in loaded.mask_decoder.parameters()} == {torch.float32}
    assert {p.dtype for p in loaded.prompt_encoder.parameters()} == {torch.float32}
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        rough, exact = loaded.encode(image)[0], tiny.encode(image)[0]
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).norm() / exact.norm() < 0.05


def test_weights_that_float16_cannot_hold_are_refused_in_float16_only(
    tiny: Sam, tmp_path: Path
) -> None:
    with torch.no_grad():
        tiny.image_encoder.pos_embed[0, 0, 0, 0] = 1e6
    path = write_official(tiny, tmp_path)

    with pytest.raises(CheckpointError, match=r"image_encoder\.pos_embed.*too large for .*float16"):
        load(path, device="cpu", dtype="float16")
    assert load(path, device="cpu", dtype="bfloat16")


def test_weights_are_never_allocated_twice(tiny: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """The skeleton that is compared with a file has no memory behind its parameters."""
    from samkit.checkpoints.assemble import skeleton

    empty = skeleton(VARIANTS["vit_h"], "it", 1000)

    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    assert not empty.pixel_mean.is_meta


def test_constants_in_a_file_do_not_count(tiny: Sam, tmp_path: Path, same_answer: Same) -> None:
    weights: dict[str, Tensor] = dict(tiny.state_dict())
    weights["pixel_mean"] = weights["pixel_std"] = torch.zeros(3, 1, 1)
    torch.save(weights, tmp_path / "sam.pth")

    assert same_answer(load(tmp_path / "sam.pth", device="cpu", dtype="float32"), tiny)
