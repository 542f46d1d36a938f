"""Makes a model out of a configuration and tensors that may both be damaged or hostile.

The modules are first made without memory for their tensors, so that sizes can be compared before
anything is allocated; then the tensors are moved in, one at a time.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from samkit.checkpoints.identity import hash_tensors, remember
from samkit.checkpoints.precision import set_encoder_dtype
from samkit.checkpoints.sizes import variant_of
from samkit.checkpoints.weights import FLOATS, Contents, listed, shown, tamed
from samkit.errors import CheckpointError
from samkit.modeling import PyramidConfig, Sam, SamConfig

_DROPPED = ("pixel_mean", "pixel_std")
"""Constants that some files carry as tensors; ours come from the configuration."""


def assemble(contents: Contents, dtype: torch.dtype = torch.float32) -> Sam:
    """The model on the CPU in eval mode; the encoder in `dtype`, all else in float32.

    Raises CheckpointError where the configuration makes no model, tensors are missing, left over or
    of another shape or type, and where a weight is not finite.
    """
    tensors = _weights_of(contents)
    with torch.inference_mode(False):
        sam = skeleton(contents.config, contents.source, len(tensors))
        expected = sam.state_dict()
        if problems := _misfits(expected, tensors):
            model = variant_of(contents.config) or "the model it should be"
            raise CheckpointError(f"{contents.source} does not fit {model}; tensors {problems}.")
        owned = {
            name: _owned(contents.source, name, tensors.pop(name), expected[name])
            for name in sorted(expected)
        }
        sam.load_state_dict(owned, assign=True)
        if dtype != torch.float32:
            remember(sam, hash_tensors(owned))  # before rounding
            _check_range(contents.source, sam, dtype)
        set_encoder_dtype(sam, dtype)
    return sam.eval()


def skeleton(config: SamConfig, source: str, tensors: int) -> Sam:
    """A model whose tensors have shapes but no memory.

    tensors: how many there are to fill it; a configuration that wants more parts is refused.
    """
    if _parts(config) > tensors:
        raise CheckpointError(f"{source} has a configuration with more layers than tensors.")
    size = config.image_encoder.img_size
    try:
        if not size or size % config.stride or min(config.pixel_std) <= 0:
            raise ValueError("an impossible image size or pixel scale")
        with _WithoutMemory():
            return Sam(config)
    except (ValueError, RuntimeError, TypeError, ArithmeticError, LookupError) as error:
        raise CheckpointError(
            f"{source} has a configuration that makes no model: {tamed(str(error))}."
        ) from error


class _WithoutMemory(TorchFunctionMode):
    """Within it, layers make their parameters on the meta device and do not initialise them.

    (Initialising on the meta device would do nothing either, but import half of torch for it.)
    """

    _makers = (torch.empty, torch.zeros, torch.ones, torch.randn)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, Tensor) and target.is_meta and _is_in_place(func):
            return target
        if func in self._makers and kwargs.get("device") is None:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        return func(*args, **kwargs)


def _is_in_place(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def _parts(config: SamConfig) -> int:
    """How many layers a configuration asks for; each of them has at least one tensor."""
    encoder, decoder = config.image_encoder, config.mask_decoder
    depth = sum(encoder.stage_depths) if isinstance(encoder, PyramidConfig) else encoder.depth
    return (
        depth
        + decoder.transformer_depth
        + decoder.num_multimask_outputs
        + decoder.iou_head_depth
        + decoder.mixer_depth
    )


def misfits(config: SamConfig, contents: Contents) -> str:
    """What of a file's tensors does not fit a configuration, as part of a sentence; "" if all fit.

    Lists what is missing, left over, of another shape or of a type that weights do not have.
    """
    found = _weights_of(contents)
    whole = skeleton(config, contents.source, _parts(config))
    return _misfits(whole.state_dict(), found)


def _weights_of(contents: Contents) -> dict[str, Tensor]:
    return {k: v for k, v in contents.tensors.items() if k not in _DROPPED}


def _misfits(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [shown(name) for name in found if name not in expected],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} for {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ],
        "of another type": [
            f"{name} {found[name].dtype}"
            for name in expected
            if name in found and not _type_fits(found[name], expected[name])
        ],
    }
    return "; ".join(f"{kind}: {listed(names)}" for kind, names in problems.items() if names)


def _type_fits(found: Tensor, expected: Tensor) -> bool:
    if expected.is_floating_point():
        return found.dtype in FLOATS
    return found.dtype == expected.dtype


def _owned(source: str, name: str, stored: Tensor, expected: Tensor) -> Tensor:
    """A copy in memory of our own, as float32 where it is floating; refuses NaN and infinity."""
    wanted = torch.float32 if expected.is_floating_point() else stored.dtype
    values = torch.empty(expected.shape, dtype=wanted).copy_(stored)
    # A sum is one pass over the values, and whatever is not finite spreads to it.
    if not torch.isfinite(values.sum()) and not torch.isfinite(values).all():
        raise CheckpointError(
            f"{source} holds values in {name} that are not finite, as a training run that diverged "
            "leaves them; take an earlier checkpoint."
        )
    return values


def _check_range(source: str, sam: Sam, dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    for name, parameter in sam.image_encoder.named_parameters():
        if parameter.detach().abs().max() > largest:
            raise CheckpointError(
                f"{source} has values in image_encoder.{name} that are too large for {dtype}; "
                "load it with another dtype."
            )
