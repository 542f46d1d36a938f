"""`samkit.load`: a name or a path of any known format becomes a model that is ready to predict."""

import os
from pathlib import Path

import torch

from samkit.checkpoints.assemble import assemble, misfits
from samkit.checkpoints.known import BUNDLED, KNOWN, KnownCheckpoint, by_hand
from samkit.checkpoints.precision import choose_device, choose_dtype
from samkit.checkpoints.safetensors_files import is_safetensors, read_safetensors
from samkit.checkpoints.samkit_files import read_samkit
from samkit.checkpoints.sizes import config_of_shapes, same_architecture, shapes_of, variant_of
from samkit.checkpoints.torch_files import read_torch
from samkit.checkpoints.transformers_folder import CONFIG, read_folder
from samkit.checkpoints.transformers_names import has_transformers_names, to_official
from samkit.checkpoints.weights import Contents
from samkit.errors import CheckpointError, UsageError
from samkit.modeling import VARIANTS, Sam, SamConfig, ViTConfig

_LFS_POINTER = b"version https://git-lfs"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def load(
    name_or_path: str | os.PathLike[str] = "default",
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    img_size: int | None = None,
) -> Sam:
    """A model in eval mode, its variant and sizes found out from the file itself.

    name_or_path: "default" (bundled), "vit_b", "vit_l" or "vit_h" (from the cache, see
        `samkit models`), or a path: an official `.pth`, a transformers folder, a safetensors file
        of samkit's or with official names. A name wins over a file called so; write `./vit_b` then.
    device: "auto" takes CUDA, else MPS, else the CPU.
    dtype: in which the image encoder computes, "float32", "bfloat16", "float16" or as torch has it;
        "auto" takes bfloat16 where that is quicker. All other parts stay in float32.
    img_size: side in pixels of the square input, a multiple of 16 (of 8 for the default model);
        what the model was trained with where None.

    Raises CheckpointError where the file is missing, damaged, hostile or another model's, and
    UsageError for a device, dtype or size that cannot be had.
    """
    where = choose_device(device)
    path = _path_of(name_or_path)
    contents = read(path)
    if os.fspath(name_or_path) in VARIANTS:
        _require(contents, VARIANTS[os.fspath(name_or_path)])
    if img_size is not None:
        _check_image_size(img_size, contents.config.stride)
    vit = isinstance(contents.config.image_encoder, ViTConfig)
    sam = assemble(contents, choose_dtype(where, dtype, vit=vit))
    if img_size is not None:
        sam.set_image_size(img_size)
    return sam.to(where)


def load_as(config: SamConfig, path: str | os.PathLike[str]) -> Sam:
    """A model on the CPU in float32 that must have this configuration, whatever format it has.

    Raises CheckpointError, which lists the tensors that do not fit, where it is another.
    """
    contents = read(Path(path))
    _require(contents, config)
    return assemble(contents)


def read(path: Path) -> Contents:
    """The contents of a checkpoint of any known format, told apart by what is in it.

    Raises CheckpointError where there is nothing, or nothing that is known.
    """
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no model {str(path)!r}: give a path that exists or one of "
            f"{', '.join(VARIANTS)}."
        )
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error.strerror}.") from error
    if start.startswith(_ZIP):
        return _with_official_names(path, read_torch(path))
    if is_safetensors(start):
        return read_samkit(path) or _foreign_safetensors(path)
    raise CheckpointError(_unknown(path, start))


def _foreign_safetensors(path: Path) -> Contents:
    tensors, _ = read_safetensors(path)
    if has_transformers_names(tensors) and (path.parent / CONFIG).is_file():
        return read_folder(path.parent)
    return _with_official_names(path, tensors)


def _with_official_names(path: Path, tensors: dict[str, torch.Tensor]) -> Contents:
    source = str(path)
    if has_transformers_names(tensors):
        tensors = to_official(source, tensors)
    return Contents(source, config_of_shapes(source, shapes_of(tensors)), tensors)


def _path_of(name_or_path: str | os.PathLike[str]) -> Path:
    """Where a named model lies, or the path itself."""
    name = os.fspath(name_or_path)
    if name == "default":
        if not BUNDLED.is_file():
            raise CheckpointError(
                f"The bundled model is missing from this installation: there is no {BUNDLED}; "
                "install samkit again, or load another model by its path."
            )
        return BUNDLED
    if name not in KNOWN:
        return Path(name)
    known = KNOWN[name]
    if not known.cached:
        raise CheckpointError(_not_cached(known))
    return known.path


def _not_cached(known: KnownCheckpoint) -> str:
    if known.path.exists():
        return (
            f"{known.path} has {known.path.stat().st_size:,} bytes where {known.file} has "
            f"{known.bytes:,}, so it is cut short or another file; "
            f"run `samkit models download {known.name}`."
        )
    return (
        f"The model {known.name} is not on this machine: run "
        f"`samkit models download {known.name}`, or {by_hand(known)}."
    )


def _require(contents: Contents, config: SamConfig) -> None:
    if same_architecture(contents.config, config):
        return
    source, wanted = contents.source, variant_of(config) or "the model asked for"
    if variant := contents.config.variant:
        builder = f"samkit.build_sam_{variant}" if variant in KNOWN else "samkit.load"
        raise CheckpointError(f"{source} is a {variant} model, not {wanted}; use {builder} for it.")
    problems = misfits(config, contents)
    tensors = f" (tensors {problems})" if problems else ""
    raise CheckpointError(
        f"{source} is a model of other sizes, not {wanted}{tensors}; use samkit.load for it."
    )


def _check_image_size(img_size: int, stride: int) -> None:
    if isinstance(img_size, bool) or not isinstance(img_size, int):
        raise UsageError(f"The image size must be a whole number, not {img_size!r}.")
    if img_size < stride or img_size % stride:
        raise UsageError(f"The image size must be a multiple of {stride} pixels, not {img_size}.")


def _unknown(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty; download it again."
    if start.startswith(_LFS_POINTER):
        return f"{path} is only the pointer to a file in Git LFS; fetch it with `git lfs pull`."
    if start.startswith(_PICKLE):
        return (
            f"{path} is a bare pickle, as PyTorch before 1.6 and other programs write it, which is "
            "not read because it could run code; save the state dict with a current torch.save."
        )
    if start.lstrip().startswith(b"<"):
        return f"{path} is a web page, so its download went wrong; download it again."
    return (
        f"{path} is no checkpoint that samkit knows: neither a zip of torch.save, nor safetensors, "
        "nor a transformers folder."
    )
