"""Weights of masked pre-training in an image encoder: published names and shapes, and our files."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samkit.checkpoints.mae import is_mae, load_mae, save_mae
from samkit.errors import CheckpointError
from samkit.modeling import VARIANTS, ImageEncoderViT, PyramidEncoder, ViTConfig
from samkit.modeling.masked_autoencoder import MaskedAutoencoderViT
from samkit.modeling.masked_patches import MaskedDecoderConfig
from samkit.modeling.masked_pyramid import MaskedPyramid

SMALL = ViTConfig(
    img_size=128, embed_dim=32, depth=2, num_heads=2, out_chans=8, window_size=3,
    global_attn_indexes=(1,),
)  # fmt: skip


def published(dim: int, depth: int, tokens: int = 197, patch: int = 16) -> dict[str, Tensor]:
    """Random tensors with the names and shapes of `mae_pretrain_vit_*.pth`."""
    generator = torch.Generator().manual_seed(dim)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, tokens, dim),
        "patch_embed.proj.weight": (dim, 3, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    for i in range(depth):
        shapes |= {
            f"blocks.{i}.norm1.weight": (dim,),
            f"blocks.{i}.norm1.bias": (dim,),
            f"blocks.{i}.attn.qkv.weight": (3 * dim, dim),
            f"blocks.{i}.attn.qkv.bias": (3 * dim,),
            f"blocks.{i}.attn.proj.weight": (dim, dim),
            f"blocks.{i}.attn.proj.bias": (dim,),
            f"blocks.{i}.norm2.weight": (dim,),
            f"blocks.{i}.norm2.bias": (dim,),
            f"blocks.{i}.mlp.fc1.weight": (4 * dim, dim),
            f"blocks.{i}.mlp.fc1.bias": (4 * dim,),
            f"blocks.{i}.mlp.fc2.weight": (dim, 4 * dim),
            f"blocks.{i}.mlp.fc2.bias": (dim,),
        }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def written(tensors: dict[str, Tensor], path: Path) -> Path:
    torch.save({"model": tensors}, path)
    return path


@pytest.fixture
def encoder() -> ImageEncoderViT:
    torch.manual_seed(0)
    return ImageEncoderViT(SMALL)


@pytest.mark.parametrize(
    ("variant", "dim", "depth"),
    [
        pytest.param("vit_b", 768, 12, marks=pytest.mark.slow),
        pytest.param("vit_l", 1024, 24, marks=pytest.mark.slow),
        pytest.param("vit_h", 1280, 32, marks=pytest.mark.slow),
    ],
)
def test_published_files_fill_the_encoder(
    variant: str, dim: int, depth: int, tmp_path: Path
) -> None:
    """vit_h is the file whose patches were resized from 14 to 16 pixels."""
    tensors = published(dim, depth)
    path = written(tensors, tmp_path / "mae.pth")
    config = VARIANTS[variant].image_encoder
    assert isinstance(config, ViTConfig)
    encoder = ImageEncoderViT(config)
    assert is_mae(path)
    report = load_mae(encoder, path)
    assert report.dropped == ("cls_token", "norm.weight", "norm.bias")
    assert report.resized == ("pos_embed",)
    assert len(report.loaded) == 3 + 12 * depth
    assert all("rel_pos" in name or name.startswith("neck") for name in report.fresh)
    assert len(report.fresh) == 2 * depth + 6
    last = encoder.blocks[-1]
    assert torch.equal(last.mlp.lin2.weight, tensors[f"blocks.{depth - 1}.mlp.fc2.weight"])
    assert torch.equal(last.attn.qkv.bias, tensors[f"blocks.{depth - 1}.attn.qkv.bias"])
    assert torch.equal(encoder.patch_embed.proj.weight, tensors["patch_embed.proj.weight"])
    assert encoder.pos_embed.shape == (1, 64, 64, dim)


def test_positions_keep_their_places_when_interpolated(
    encoder: ImageEncoderViT, tmp_path: Path
) -> None:
    """A table that rises by column and row does so at the same places of the image."""
    tensors = published(32, 2, tokens=1 + 16)
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    table = torch.zeros(4, 4, 32)
    table[..., 0], table[..., 1] = columns, rows
    tensors["pos_embed"] = torch.cat([torch.full((1, 1, 32), 9.0), table.reshape(1, 16, 32)], 1)
    report = load_mae(encoder, written(tensors, tmp_path / "mae.pth"))
    assert report.resized == ("pos_embed",)
    places = torch.linspace(-0.25, 3.25, 8)  # centres of 8 cells where there were 4
    assert torch.allclose(encoder.pos_embed[0, 4, :, 0], places, atol=0.2)  # bicubic, and borders
    assert torch.allclose(encoder.pos_embed[0, :, 4, 1], places, atol=0.2)
    assert encoder.pos_embed.max() < 4


def test_windowless_the_encoder_computes_what_was_pre_trained(tmp_path: Path) -> None:
    """Without the cls token, which SAM drops, both encoders are the same blocks."""
    torch.manual_seed(0)
    config = ViTConfig(
        img_size=64, embed_dim=32, depth=2, num_heads=2, window_size=0, global_attn_indexes=(0, 1)
    )
    model = MaskedAutoencoderViT(config, MaskedDecoderConfig(16, 1, 4))
    save_mae(tmp_path / "model.safetensors", model.encoder_weights(()), "vit_b", {"images": 3})
    encoder = ImageEncoderViT(config)
    report = load_mae(encoder, tmp_path / "model.safetensors")
    assert report.resized == () and "cls_token" in report.dropped
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        x = model.patch_embed(images) + model.pos_embed[:, 1:]
        for block in model.blocks:
            x = block(x)
        y = encoder.patch_embed(images) + encoder.pos_embed
        for block in encoder.blocks:
            y = block(y)
    assert torch.allclose(x, y.reshape(x.shape), atol=1e-5)


def test_a_pyramid_is_filled_but_for_its_finer_features(tmp_path: Path) -> None:
    config = VARIANTS["default"].image_encoder
    torch.manual_seed(0)
    model = MaskedPyramid(config, MaskedDecoderConfig(16, 1))
    path = tmp_path / "model.safetensors"
    save_mae(path, model.encoder_weights([torch.randn(2, 3, 64, 64)]), "default", {})
    assert is_mae(path)
    encoder = PyramidEncoder(config)
    fine = encoder.fine_2.weight.clone()
    report = load_mae(encoder, path)
    assert report.fresh and all(name.startswith("fine_") for name in report.fresh)
    assert torch.equal(encoder.neck[0].weight, model.encoder.neck[0].weight)
    assert torch.equal(encoder.fine_2.weight, fine)
    assert not torch.equal(encoder.trunk.stem.norm.running_mean, torch.zeros(32))


def test_what_is_no_pre_training_is_told_apart(tmp_path: Path) -> None:
    sam = {f"image_encoder.{name}": value for name, value in published(32, 1).items()}
    assert not is_mae(written(sam, tmp_path / "sam.pth"))
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    for path in ("text.pth", "cut.pth", "nosuch.pth", "."):
        assert not is_mae(tmp_path / path)
    for name in ("default", "vit_b", "imagenet"):
        assert not is_mae(name)


def _without(name: str) -> dict[str, Tensor]:
    tensors = published(32, 2)
    del tensors[name]
    return tensors


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (published(32, 3), "unexpected: 'blocks.2.norm1.weight'"),
        (published(32, 1), "missing: blocks.1.norm1.weight"),
        (published(48, 2), "is a ViT of width 48, and this model's is 32"),
        (published(768, 1), "it fits vit_b"),
        (published(32, 2, tokens=198), "197 positions, which make no square"),
        (published(32, 2, patch=14), r"patch_embed.proj.weight (32, 3, 14, 14) for (32, 3, 16"),
        (_without("cls_token"), "197 positions, which make no square"),
        (published(32, 2) | {"head.weight": torch.zeros(2, 32)}, "unexpected: 'head.weight'"),
        (published(32, 2) | {"norm.bias": torch.zeros(1), "pos_embed": torch.zeros(3)}, "shape"),
        (published(32, 2) | {"patch_embed.proj.bias": torch.zeros(32).long()}, "another type"),
        (published(32, 2) | {"patch_embed.proj.bias": torch.full((32,), math.nan)}, "not finite"),
        ({"trunk.stem.conv.weight": torch.zeros(1)}, "was pre-trained for the default model's"),
        ({"a": torch.zeros(1)}, "holds no weights of a masked autoencoder; its first tensors"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(
    tensors: dict[str, Tensor], said: str, encoder: ImageEncoderViT, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_mae(encoder, written(tensors, tmp_path / "mae.pth"))
    text = str(caught.value)
    assert said in text and str(tmp_path) in text
    assert text.endswith(".") and "\n" not in text and len(text) < 1000
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


class _Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": {"pos_embed": _Exploit()}}, "could run code"),
        ({"model": {"pos_embed": torch.zeros(1).expand(1 << 40)}}, "claims more values"),
        (b"PK\x03\x04 and no more", "damaged or cut short"),
        (b"\xff" * 7 + b"\x00{", "damaged or cut short"),
        (b"<html>", "neither a file that torch.save wrote nor safetensors"),
        (None, "There is no file"),
    ],
)
def test_hostile_files_are_refused(
    content: object, said: str, encoder: ImageEncoderViT, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "mae.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=said):
        load_mae(encoder, path)
    assert capsys.readouterr().out == ""


def test_a_pyramid_refuses_a_vit(tmp_path: Path) -> None:
    encoder = PyramidEncoder(VARIANTS["default"].image_encoder)
    with pytest.raises(CheckpointError, match="for a ViT, and this model has the default"):
        load_mae(encoder, written(published(32, 2), tmp_path / "mae.pth"))


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        save_mae(tmp_path / "x.safetensors", {"a": torch.tensor([math.inf])}, "vit_b", {})
    assert not list(tmp_path.glob("*.safetensors"))
