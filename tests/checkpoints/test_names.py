"""Names instead of paths: the bundled model, the cache, and the official builders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samkit.build_sam import (
    _build_sam,
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    sam_model_registry,
)
from samkit.checkpoints import known, load, save
from samkit.checkpoints.known import KNOWN, KnownCheckpoint
from samkit.errors import CheckpointError
from samkit.modeling import VARIANTS, Sam

Same = Callable[[Sam, Sam], bool]


def write_official(sam: Sam, folder: Path) -> Path:
    torch.save(sam.state_dict(), folder / "sam.pth")
    return folder / "sam.pth"


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(CheckpointError, match=r"no model 'vit_x'.*default, vit_b, vit_l, vit_h"):
        load("vit_x")


def test_default_is_the_bundled_file(
    tiny_pyramid: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import samkit.checkpoints.loading as loading

    monkeypatch.setattr(loading, "BUNDLED", tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match=r"bundled model is missing.*missing\.safetensors"):
        load()

    monkeypatch.setattr(loading, "BUNDLED", tmp_path / "ours.safetensors")
    save(tiny_pyramid, tmp_path / "ours.safetensors", provenance={})
    with pytest.raises(CheckpointError, match="not default"):
        load()


def test_a_published_name_that_is_not_cached_says_what_to_put_where(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load("vit_l")

    text = str(caught.value)
    assert "samkit models download vit_l" in text
    assert str(cache / "checkpoints" / "sam_vit_l_0b3195.pth") in text
    assert KNOWN["vit_l"].url in text and KNOWN["vit_l"].sha256 in text


def test_a_cached_file_of_another_size_is_named_and_not_loaded(cache: Path) -> None:
    path = KNOWN["vit_b"].path
    path.parent.mkdir()
    path.write_bytes(b"half a file")

    with pytest.raises(CheckpointError, match=r"has 11 bytes where .* has 375,042,383"):
        load("vit_b")


def test_a_published_name_loads_from_the_cache_and_is_what_it_is_named(
    tiny: Sam, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "checkpoints").mkdir()
    path = write_official(tiny, cache / "checkpoints")
    entry = KnownCheckpoint("vit_b", path.name, path.stat().st_size, "", "", "", "")
    monkeypatch.setitem(KNOWN, "vit_b", entry)
    monkeypatch.setitem(VARIANTS, "vit_b", tiny.config)

    assert load("vit_b", device="cpu").config.variant == "vit_b"

    monkeypatch.setitem(VARIANTS, "vit_b", VARIANTS["vit_h"])
    monkeypatch.setitem(VARIANTS, "vit_h", tiny.config)
    with pytest.raises(CheckpointError, match=r"is a vit_h model, not vit_b; use .*vit_h"):
        load("vit_b", device="cpu")


def test_status_lists_the_bundled_model_and_what_is_cached(cache: Path) -> None:
    KNOWN["vit_b"].part.parent.mkdir()
    KNOWN["vit_b"].part.write_bytes(b"abc")

    default, vit_b, *others = known.status()

    assert (default.name, default.path, default.cached) == (
        "default",
        known.BUNDLED,
        known.BUNDLED.is_file(),
    )
    assert (vit_b.name, vit_b.size, vit_b.cached, vit_b.partial) == ("vit_b", 375_042_383, False, 3)
    assert [model.name for model in others] == ["vit_l", "vit_h"]
    assert all(model.licence == "Apache-2.0" for model in others)


def test_the_bundled_model_s_licence_is_what_its_file_says(
    tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "BUNDLED", tmp_path / "default.safetensors")
    assert known.status()[0].licence == ""

    save(tiny, known.BUNDLED, provenance={"licence": "For trial only: see the card."})
    assert known.status()[0].licence == "For trial only"

    for damaged in (b"", b"\x09" + bytes(7) + b"{", known.BUNDLED.read_bytes()[:50]):
        known.BUNDLED.write_bytes(damaged)
        assert known.status()[0].licence == ""


def test_the_registry_has_the_official_names_and_default_is_vit_h() -> None:
    assert sorted(sam_model_registry) == ["default", "vit_b", "vit_h", "vit_l"]
    assert sam_model_registry["default"] is build_sam
    assert sam_model_registry["vit_h"] is build_sam_vit_h


def test_a_builder_without_a_checkpoint_has_random_weights_and_the_published_count() -> None:
    sam = sam_model_registry["vit_b"](checkpoint=None)

    assert not sam.training
    assert sum(p.numel() for p in sam.parameters()) == 93_735_472
    assert sam.mask_decoder.iou_token.weight.std() > 0.5


def test_a_vit_h_file_given_to_the_vit_b_builder_says_so_and_names_the_right_one(
    tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_answer: Same
) -> None:
    path = write_official(tiny, tmp_path)
    monkeypatch.setitem(VARIANTS, "vit_h", tiny.config)

    with pytest.raises(CheckpointError, match=r"vit_h model, not vit_b; use .*build_sam_vit_h"):
        build_sam_vit_b(checkpoint=path)
    assert same_answer(build_sam(checkpoint=str(path)), tiny)


def test_a_file_of_no_published_size_is_no_vit_b_and_its_tensors_are_listed(
    tiny: Sam, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"a model of other sizes, not vit_b") as caught:
        build_sam_vit_b(write_official(tiny, tmp_path))
    said = str(caught.value)
    assert "missing: image_encoder.blocks.3.norm1.weight, " in said and " more; " in said
    assert "unexpected: 'mask_decoder.iou_prediction_head.layers.3.weight'" in said
    assert "of another shape: image_encoder.pos_embed (1, 4, 4, 32) for (1, 64, 64, 768)" in said


def test_sizes_of_ones_own_make_a_published_model_but_for_its_encoder(
    tmp_path: Path, same_answer: Same
) -> None:
    small = _build_sam(64, 2, 4, [1])
    assert small.image_encoder.img_size == 1024 and not small.training
    assert [block.attn.window_size for block in small.image_encoder.blocks] == [14, 0]

    again = _build_sam(64, 2, 4, [1], checkpoint=write_official(small, tmp_path))
    assert same_answer(again, small)
    with pytest.raises(CheckpointError, match=r"not the model asked for .tensors missing"):
        _build_sam(64, 3, 4, [1], checkpoint=tmp_path / "sam.pth")
