"""Masked pre-training on tiny pictures: it learns, resumes bit for bit, and survives."""

import math
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samkit.checkpoints.mae import is_mae, load_mae
from samkit.errors import SamkitError, UsageError
from samkit.modeling import ImageEncoderViT, PyramidConfig, ViTConfig
from samkit.modeling.masked_autoencoder import MaskedAutoencoderViT
from samkit.modeling.masked_patches import MaskedAutoencoder, MaskedDecoderConfig
from samkit.modeling.masked_pyramid import MaskedPyramid
from samkit.training.distributed import World
from samkit.training.pretraining import MODEL, Pretrainer
from samkit.training.pretraining_images import UnlabelledImages, middle, resized_crop
from samkit.training.pretraining_picture import RECONSTRUCTION
from samkit.training.pretraining_recipes import (
    PRETRAIN_RECIPES,
    PretrainRecipe,
    new_autoencoder,
    pretraining_rate,
)
from samkit.training.state import load_state

VIT = ViTConfig(img_size=64, embed_dim=32, depth=2, num_heads=2)
PYRAMID = PyramidConfig(
    img_size=64,
    stem_chans=8,
    stage_chans=(8, 8, 8, 16, 16),
    stage_depths=(1,) * 5,
    stage_strides=(1, 2, 2, 2, 2),
    stage_kernels=(3,) * 5,
    stage_expansions=(1,) + (2,) * 4,
    out_chans=16,
)
DECODER = MaskedDecoderConfig(dim=16, depth=1, num_heads=4)
RECIPE = replace(
    PRETRAIN_RECIPES["debug"], model="vit_b", steps=6, batch=4, at_once=2, warmup=2, save_every=100
)

Make = Callable[..., Pretrainer]


def new_model(kind: str) -> MaskedAutoencoder:
    torch.manual_seed(0)
    if kind == "vit":
        return MaskedAutoencoderViT(VIT, DECODER)
    return MaskedPyramid(PYRAMID, DECODER)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five pictures of smooth colour, of several sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(5):
        colours = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        size = (60 + 20 * i, 90)
        Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def make(pictures: list[Path]) -> Make:
    def pretrainer(
        folder: Path,
        recipe: PretrainRecipe = RECIPE,
        kind: str = "vit",
        paths: list[Path] = pictures,
    ) -> Pretrainer:
        model = new_model(kind)
        return Pretrainer(model, UnlabelledImages(paths, recipe, model.patches), folder)

    return pretrainer


@pytest.mark.parametrize("kind", ["vit", "pyramid"])
def test_a_resumed_run_is_equal_bit_for_bit(kind: str, make: Make, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", kind=kind)
    assert whole.run()
    assert not make(tmp_path / "parts", kind=kind).run(until=3)
    parts = make(tmp_path / "parts", kind=kind)
    assert parts.step == 3
    assert parts.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, parts.model.state_dict()[name]), name
    moments = [run.optimiser.state_dict()["state"] for run in (whole, parts)]
    for key, values in moments[0].items():
        assert all(torch.equal(value, moments[1][key][name]) for name, value in values.items())
    files = [(tmp_path / run / RECONSTRUCTION).read_bytes() for run in ("whole", "parts")]
    assert files[0] == files[1]


@pytest.mark.parametrize("kind", ["vit", "pyramid"])
def test_a_few_dozen_steps_lower_the_loss(kind: str, make: Make, tmp_path: Path) -> None:
    """Pictures that grow brighter to the right; the best constant has a loss of 1."""
    ramp = np.tile(np.linspace(20, 230, 80, dtype=np.uint8)[None, :, None], (80, 1, 3))
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(ramp - np.uint8(5 * i)).save(paths[-1])
    losses = []
    recipe = replace(RECIPE, steps=40, base_lr=0.3, mirror=False)
    run = make(tmp_path / "run", recipe, kind, paths)
    run.run(report=lambda step, seen: losses.append(seen["loss"]))
    assert len(losses) == 40
    assert losses[0] > 0.95
    assert np.mean(losses[-5:]) < 0.5


def test_the_run_s_file_starts_an_image_encoder(make: Make, tmp_path: Path) -> None:
    run = make(tmp_path)
    run.run(until=1)
    assert is_mae(tmp_path / MODEL)
    encoder = ImageEncoderViT(replace(VIT, img_size=128))
    assert load_mae(encoder, tmp_path / MODEL).resized == ("pos_embed",)
    assert torch.equal(encoder.blocks[1].mlp.lin1.weight, run.model.blocks[1].mlp.fc1.weight)
    size = Image.open(tmp_path / RECONSTRUCTION).size
    assert size[0] > 6 * 64 and size[1] > 3 * 64


def test_parts_of_a_batch_make_the_batch_s_gradient(make: Make, tmp_path: Path) -> None:
    one, many = make(tmp_path / "1", replace(RECIPE, at_once=4)), make(tmp_path / "2")
    many.recipe = replace(RECIPE, at_once=3)
    for run in (one, many):
        run.run(until=3)
    for name, value in one.model.state_dict().items():
        assert torch.allclose(value, many.model.state_dict()[name], atol=1e-5), name


def test_processes_that_share_a_batch_sum_to_its_gradient(make: Make, tmp_path: Path) -> None:
    """Each process's gradient is of its images over the whole batch."""

    class Halves(World):
        def sum_gradients(self, parameters: object) -> None: ...

        def mean(self, seen: dict[str, float]) -> dict[str, float]:
            return seen

    def gradients(world: World) -> list[torch.Tensor]:
        model = new_model("vit")
        images = UnlabelledImages(make(tmp_path).images.paths, RECIPE, model.patches)
        run = Pretrainer(model, images, tmp_path, world=world)
        run.course.step = 1  # the rate of step 0 is 0
        run._learn([images.example(1, k) for k in run.share])
        return [p.grad for p in model.parameters()]

    both = zip(gradients(Halves(0, 2)), gradients(Halves(1, 2)), strict=True)
    for whole, (first, second) in zip(gradients(World()), both, strict=True):
        assert torch.allclose(whole, first + second, atol=1e-6)


def test_learning_rate_against_hand_values() -> None:
    recipe = replace(PRETRAIN_RECIPES["vit_b"], steps=110, warmup=10, batch=512)
    assert recipe.lr == pytest.approx(3e-4)
    rates = [pretraining_rate(recipe, step) for step in range(110)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(1.5e-4)
    assert rates[10] == pytest.approx(3e-4)
    assert rates[35] == pytest.approx(3e-4 * (1 + math.sqrt(0.5)) / 2)
    assert rates[60] == pytest.approx(1.5e-4)
    assert rates[109] == pytest.approx(3e-4 * (1 - math.cos(math.pi / 100)) / 2)


def test_the_paper_s_recipes_have_its_numbers() -> None:
    for name, dim in (("vit_b", 768), ("vit_l", 1024), ("vit_h", 1280)):
        recipe = PRETRAIN_RECIPES[name]
        assert recipe.sam.image_encoder.embed_dim == dim
        assert recipe.lr == pytest.approx(2.4e-3)
        assert recipe.decoder == MaskedDecoderConfig(512, 8, 16)
        assert recipe.steps * 4096 / 1_281_167 == pytest.approx(1600, rel=1e-4)
        assert recipe.warmup * 4096 / 1_281_167 == pytest.approx(40, rel=1e-3)
    assert set(PRETRAIN_RECIPES) == {"debug", "default", "vit_b", "vit_l", "vit_h"}


def test_a_new_model_depends_on_its_seed_alone() -> None:
    recipe = PRETRAIN_RECIPES["debug"]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same = new_autoencoder(recipe), new_autoencoder(recipe)
    other = new_autoencoder(replace(recipe, seed=1))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [model.state_dict()["encoder.trunk.stem.conv.weight"] for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_ten_steps_without_a_finite_loss_end_the_run(make: Make, tmp_path: Path) -> None:
    run = make(tmp_path, replace(RECIPE, steps=30, save_every=1))
    run.run(until=1)
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with torch.no_grad():
        run.model.mask_token.fill_(math.nan)
    before = run.model.patch_embed.proj.weight.detach().clone()
    with pytest.raises(SamkitError, match=r"10 steps in a row.* after step 1;"):
        run.run()
    assert run.skipped == 10
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == saved
    assert torch.equal(before, run.model.patch_embed.proj.weight)


def test_a_step_without_a_finite_loss_is_skipped_and_counted(make: Make, tmp_path: Path) -> None:
    run = make(tmp_path)

    def spoil(module: object, args: object, output: torch.Tensor) -> torch.Tensor | None:
        return output * math.nan if run.step == 2 else None

    run.model.decoder_pred.register_forward_hook(spoil)
    assert run.run()
    assert run.skipped == 1
    assert load_state(tmp_path)["skipped"] == 1
    assert all(torch.isfinite(value).all() for value in run.model.parameters())


def test_a_run_that_is_asked_to_stop_saves_what_it_has(make: Make, tmp_path: Path) -> None:
    run = make(tmp_path)
    assert not run.run(should_stop=lambda: run.step == 2)
    assert load_state(tmp_path)["step"] == 2
    assert (tmp_path / MODEL).exists()


@pytest.mark.parametrize(
    ("recipe", "kind", "said"),
    [
        (replace(RECIPE, base_lr=1.0, batch=2), "vit", "with another batch, base_lr;"),
        (RECIPE, "pyramid", "a run of another model"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    recipe: PretrainRecipe, kind: str, said: str, make: Make, tmp_path: Path
) -> None:
    make(tmp_path).run(until=1)
    with pytest.raises(UsageError, match=said):
        make(tmp_path, recipe, kind)
    assert make(tmp_path, replace(RECIPE, steps=9)).step == 1


def test_a_full_disk_is_one_sentence_and_leaves_the_last_state(make: Make, tmp_path: Path) -> None:
    make(tmp_path).run(until=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, limits[1]))
    try:
        with pytest.raises(SamkitError, match="disk is full"):
            make(tmp_path).run(until=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert make(tmp_path).step == 1
    assert not list(tmp_path.glob(".*"))


def test_every_image_is_shown_once_before_any_is_shown_again(pictures: list[Path]) -> None:
    images = UnlabelledImages(pictures, RECIPE, 16)
    orders = [[images._place(5 * turn + i) for i in range(5)] for turn in range(4)]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len(set(map(tuple, orders))) > 1


def test_batches_depend_on_their_number_alone(pictures: list[Path]) -> None:
    images = UnlabelledImages(pictures, RECIPE, 16)
    ahead = list(images.batches(0, 5, range(4), workers=3))
    alone = [UnlabelledImages(pictures, RECIPE, 16).example(4, k) for k in range(4)]
    for a, b in zip(ahead[4], alone, strict=True):
        assert np.array_equal(a.pixels, b.pixels) and np.array_equal(a.noise, b.noise)
    assert not np.array_equal(ahead[0][0].noise, ahead[1][0].noise)


def test_broken_images_are_named_and_others_take_their_place(
    pictures: list[Path], make: Make, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    run = make(tmp_path / "run", paths=[*pictures, broken])
    assert run.run()
    assert list(run.images.broken) == [str(broken)]
    with pytest.raises(SamkitError, match="1000 images in a row cannot be read"):
        UnlabelledImages([broken], RECIPE, 16).example(0, 0)
    with pytest.raises(UsageError, match="There are no images"):
        UnlabelledImages([], RECIPE, 16)


def test_crops_have_the_shares_and_shapes_they_should() -> None:
    """A ramp of the pixel's own coordinates tells where a crop was cut."""
    height, width = 200, 250
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.arange(width)
    ramp[..., 1] = np.arange(height)[:, None]
    rng = np.random.default_rng(0)
    shares, aspects = [], []
    for _ in range(200):
        crop = resized_crop(ramp, 64, (0.2, 1.0), rng).astype(float)
        assert crop.shape == (64, 64, 3)
        w, h = (np.ptp(crop[..., c]) + 1 for c in (0, 1))
        shares.append(w * h / (height * width))
        aspects.append(w / h)
    assert 0.17 < min(shares) < 0.25 and 0.9 < max(shares) <= 1
    assert 0.7 < min(aspects) < 0.8 and 1.25 < max(aspects) < 1.42
    whole = middle(ramp, 50)
    assert abs(int(whole[0, 0, 0]) - 25) <= 3 and abs(int(whole[-1, -1, 0]) - 224) <= 3


def test_an_image_no_crop_fits_into_is_cut_in_the_middle() -> None:
    strip = np.zeros((4, 400, 3), np.uint8)
    strip[:, 195:205] = 255
    crop = resized_crop(strip, 32, (0.9, 1.0), np.random.default_rng(0))
    assert crop.shape == (32, 32, 3) and crop.all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "vit_x"}, "vit_x is no model"),
        ({"img_size": 100}, "multiple of 32 from 64 on, not 100"),
        ({"batch": 0}, "at least 1"),
        ({"base_lr": -1.0}, "must be above 0"),
        ({"autocast": "float16"}, "none or bfloat16"),
    ],
)
def test_numbers_that_make_no_run_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(PRETRAIN_RECIPES["default"], **changes)


def test_bfloat16_trains_with_float32_weights(make: Make, tmp_path: Path) -> None:
    losses = []
    run = make(tmp_path, replace(RECIPE, autocast="bfloat16"))
    run.run(until=2, report=lambda step, seen: losses.append(seen["loss"]))
    full = []
    make(tmp_path / "full").run(until=2, report=lambda step, seen: full.append(seen["loss"]))
    assert losses[0] != full[0] and losses == pytest.approx(full, rel=0.02)
    assert all(value.dtype == torch.float32 for value in run.model.parameters())
