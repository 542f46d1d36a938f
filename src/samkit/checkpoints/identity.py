"""A short name for the exact weights of a model, so that embeddings of another are refused."""

import hashlib
import weakref
from collections.abc import Mapping

import torch
from torch import Tensor

from samkit.modeling import Sam

DIGITS = 16
"""Hexadecimal digits that are kept of the SHA-256."""

_Versions = list[tuple["weakref.ref[Tensor]", int]]
_known: "weakref.WeakKeyDictionary[Sam, tuple[str, _Versions]]" = weakref.WeakKeyDictionary()


def model_id(sam: Sam) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over a model's weights.

    Hashed are the floating tensors of the state dict in the order of their names: the name in
    UTF-8, then the values as little-endian float32 in C order. Device and type do not matter: a
    model that `load` brought in as bfloat16 has the id of its file. The answer is kept until a
    weight changes (about 0.6 s for ViT-B the first time); changes through `.data` go unseen.
    """
    remembered = _known.get(sam)
    if remembered is not None and _unchanged(sam, remembered[1]):
        return remembered[0]
    return remember(sam, hash_tensors(sam.state_dict()))


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The id of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.is_floating_point():
            digest.update(name.encode())
            values = tensor.detach().to("cpu", torch.float32).contiguous()
            digest.update(values.reshape(-1).numpy().view("u1").data)
    return digest.hexdigest()[:DIGITS]


def remember(sam: Sam, identity: str) -> str:
    """Keeps the id of the weights as they are now; used where they are about to be rounded."""
    _known[sam] = identity, [(weakref.ref(p), _version(p)) for p in sam.parameters()]
    return identity


def _unchanged(sam: Sam, versions: _Versions) -> bool:
    now = list(sam.parameters())
    return len(now) == len(versions) and all(
        reference() is parameter and version == _version(parameter)
        for parameter, (reference, version) in zip(now, versions, strict=True)
    )


def _version(parameter: Tensor) -> int:
    """Counts in-place changes; tensors made in inference mode cannot be changed outside it."""
    return 0 if parameter.is_inference() else parameter._version
