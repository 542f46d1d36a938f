"""The id of a model: equal for equal weights wherever they are, different after any change."""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samkit.checkpoints import load, model_id
from samkit.modeling import VARIANTS, Sam


def test_it_is_the_hash_of_names_and_float32_bytes_that_the_golden_files_state(golden) -> None:
    for name in ("tiny", "tiny_pad", "trained"):
        expected = golden.json(name)["weights_sha256"]
        assert model_id(golden.build_model(name)) == expected[:16]


def test_it_does_not_depend_on_the_type_that_was_loaded(tiny: Sam, tmp_path: Path) -> None:
    torch.save(tiny.state_dict(), tmp_path / "sam.pth")

    ids = {
        model_id(load(tmp_path / "sam.pth", device="cpu", dtype=dtype))
        for dtype in ("float32", "bfloat16", "float16")
    }

    assert ids == {model_id(tiny)}


def test_it_changes_with_a_weight_and_comes_back_with_it(tiny: Sam) -> None:
    before = model_id(tiny)
    weight = tiny.mask_decoder.iou_token.weight
    old = weight.detach().clone()
    with torch.no_grad():
        weight[0, 0] += 1e-6
    changed = model_id(tiny)
    with torch.no_grad():
        weight.copy_(old)

    assert changed != before
    assert model_id(tiny) == before


def test_it_changes_when_another_state_is_loaded_either_way(
    tiny: Sam, make_sam: Callable[..., Sam]
) -> None:
    other = make_sam(tiny.config, seed=1)
    ids = [model_id(tiny)]
    tiny.load_state_dict(other.state_dict())
    ids.append(model_id(tiny))
    for seed in (2, 3):
        state = {k: v.clone() for k, v in make_sam(tiny.config, seed).state_dict().items()}
        tiny.load_state_dict(state, assign=True)
        ids.append(model_id(tiny))

    assert len(set(ids)) == 4
    assert ids[1] == model_id(other)


def test_a_copy_has_the_same_id_and_training_it_another(tiny: Sam) -> None:
    twin = copy.deepcopy(tiny)
    assert model_id(twin) == model_id(tiny)

    step = torch.optim.SGD(twin.parameters(), lr=0.1)
    twin.prompt_encoder.get_dense_pe()
    twin.mask_decoder.iou_token.weight.sum().backward()
    step.step()

    assert model_id(twin) != model_id(tiny)


def test_the_second_time_costs_nothing(tiny: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    import samkit.checkpoints.identity as identity

    first = model_id(tiny)
    monkeypatch.setattr(identity, "hash_tensors", None)

    assert model_id(tiny) == first


@pytest.mark.slow
def test_vit_b_is_named_in_about_a_second() -> None:
    sam = Sam(VARIANTS["vit_b"])
    start = time.process_time()
    model_id(sam)

    assert time.process_time() - start < 2  # 0.7 s where the CPU has no other work
