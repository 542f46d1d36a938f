"""Embeddings of images: made in batches, kept in files, moved between machines."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from samkit.checkpoints.identity import model_id
from samkit.errors import FormatError, UsageError
from samkit.files import atomic_write
from samkit.inference.transforms import ResizeLongestSide, Size
from samkit.modeling import PyramidConfig, Sam
from samkit.modeling.mask_decoder import FINE_NAMES
from samkit.pixels import from_array

FORMAT = "samkit-embedding"
VERSION = "1"
FINE_PREFIX = "fine."
_LARGEST_SIDE = 1 << 20


@dataclass(frozen=True)
class ImageEmbedding:
    """What the encoder made of one image, and the sizes that go with it.

    In a file: one safetensors file with the tensor `features`, the finer features as `fine.NAME`,
    and the metadata `format`, `version`, `original_size`, `input_size` ("H W") and `model_id`.
    """

    features: Tensor
    """1 x C x h x w."""
    original_size: Size
    """(H, W) of the image in pixels."""
    input_size: Size
    """(H, W) after the resize, before padding."""
    model_id: str
    """Of the model that made it (`samkit.checkpoints.model_id`); only that model understands it."""
    fine: dict[str, Tensor] = field(default_factory=dict)
    """Finer features by name, if the encoder has any; 1 x ... each."""

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "ImageEmbedding":
        """The same on another device or in another floating type."""
        return dataclasses.replace(
            self,
            features=self.features.to(device=device, dtype=dtype),
            fine={k: v.to(device=device, dtype=dtype) for k, v in self.fine.items()},
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one safetensors file, whole or not at all. Raises SamkitError where it cannot."""
        tensors = {"features": self.features} | {
            FINE_PREFIX + name: part for name, part in self.fine.items()
        }
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "original_size": "{} {}".format(*self.original_size),
            "input_size": "{} {}".format(*self.input_size),
            "model_id": self.model_id,
        }
        data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata)
        with atomic_write(path) as file:
            file.write(data)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: torch.device | str = "cpu"
    ) -> "ImageEmbedding":
        """Reads a file of `save`; FormatError in one sentence for anything else."""
        name = os.fspath(path)
        try:
            with safe_open(name, framework="pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise FormatError(f"{name} is not an embedding of samkit; make it anew.")
                if metadata.get("version") != VERSION:
                    raise FormatError(
                        f"{name} is an embedding of version {metadata.get('version')!r}, which "
                        f"this samkit does not read; make it anew."
                    )
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"Cannot read {name}: {reason}; check the path.") from error
        except SafetensorError as error:
            raise FormatError(
                f"{name} is no safetensors file or is damaged; make the embedding anew."
            ) from error
        features = tensors.pop("features", None)
        if features is None or any(not key.startswith(FINE_PREFIX) for key in tensors):
            raise FormatError(f"{name} holds other tensors than an embedding's; make it anew.")
        for tensor in (features, *tensors.values()):
            if tensor.dim() != 4 or tensor.shape[0] != 1 or not tensor.is_floating_point():
                raise FormatError(f"{name} holds tensors of odd shape or type; make it anew.")
        return cls(
            features,
            _size(name, metadata, "original_size"),
            _size(name, metadata, "input_size"),
            metadata.get("model_id", ""),
            {key.removeprefix(FINE_PREFIX): value for key, value in tensors.items()},
        )


def _size(name: str, metadata: dict[str, str], key: str) -> Size:
    words = metadata.get(key, "").split(" ")
    if len(words) != 2 or not all(w.isascii() and w.isdigit() and len(w) <= 7 for w in words):
        raise FormatError(f"{name} has an odd {key} in its metadata; make it anew.")
    height, width = map(int, words)
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
        raise FormatError(f"{name} has an odd {key} in its metadata; make it anew.")
    return height, width


def require_fit(embedding: ImageEmbedding, sam: Sam) -> None:
    """UsageError where an embedding was not made by this very model, or has other shapes."""
    if embedding.model_id != (own := model_id(sam)):
        raise UsageError(
            f"The embedding was made by another model ({embedding.model_id}, not {own}); "
            "use the model that made it or embed the image anew."
        )
    found = {"features": tuple(embedding.features.shape)}
    found |= {name: tuple(part.shape) for name, part in embedding.fine.items()}
    if found != (expected := embedding_shapes(sam)):
        raise UsageError(
            f"The embedding has the shapes {found}, but this model makes {expected}; "
            "embed the image anew."
        )
    resized = ResizeLongestSide.get_preprocess_shape(
        *embedding.original_size, sam.image_encoder.img_size
    )
    if resized != embedding.input_size:
        raise UsageError(
            f"The embedding names the input size {embedding.input_size}, but an image of "
            f"{embedding.original_size} becomes {resized} here; embed the image anew."
        )


def embedding_shapes(sam: Sam) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of an embedding of this model, by name."""
    dim, (h, w) = sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size
    shapes: dict[str, tuple[int, ...]] = {"features": (1, dim, h, w)}
    if isinstance(sam.config.image_encoder, PyramidConfig):
        for i, name in enumerate(FINE_NAMES, start=1):
            shapes[name] = (1, dim >> (i + 1), h << i, w << i)
    return shapes


@torch.no_grad()
def embed_images(
    sam: Sam, images: Sequence[NDArray[Any]], batch_size: int = 1
) -> list[ImageEmbedding]:
    """Embeddings of several images, a batch of them through the encoder at a time.

    images: arrays as `samkit.pixels.from_array` takes them (H x W x 3 uint8 RGB, and others that
    it converts), each of its own size. batch_size: more than 1 pays on a GPU; on a CPU it only
    costs memory. Raises ImageError for an array that is no image.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}.")
    made_by = model_id(sam)
    embeddings: list[ImageEmbedding] = []
    for start in range(0, len(images), batch_size):
        arrays = [from_array(image) for image in images[start : start + batch_size]]
        embeddings += embed_batch(sam, arrays, made_by)
    return embeddings


def embed_batch(
    sam: Sam, images: Sequence[NDArray[np.uint8]], made_by: str
) -> list[ImageEmbedding]:
    """Embeddings of H x W x 3 uint8 images that go through the encoder together."""
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    resized = [transform.apply_image(image) for image in images]
    inputs = torch.stack([sam.preprocess(to_chw(image, sam.device)) for image in resized])
    features, fine = sam.encode(inputs)
    return [
        ImageEmbedding(
            features[i : i + 1].clone(),  # any part of a batch would keep all of it alive
            (image.shape[0], image.shape[1]),
            (small.shape[0], small.shape[1]),
            made_by,
            {name: part[i : i + 1].clone() for name, part in fine.items()},
        )
        for i, (image, small) in enumerate(zip(images, resized, strict=True))
    ]


def to_chw(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """H x W x 3 uint8 to 3 x H x W uint8 on a device."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1).contiguous()
