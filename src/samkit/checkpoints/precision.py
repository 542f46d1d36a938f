"""Where a model runs and in which floating type its image encoder computes.

bfloat16 halves the encoder's memory traffic, but whether it is quicker on a CPU depends on the
multipliers behind the flags that it reports. So a small product is timed once, and the answer kept.
Prompt encoder and decoder always stay in float32: they are cheap, and a point's coordinates in
bfloat16 would be off by several pixels.
"""

import json
import logging
import platform
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samkit.errors import SamkitError, UsageError
from samkit.files import cache_folder, write_json
from samkit.modeling import ImageEncoderViT, Sam

_log = logging.getLogger(__name__)

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""The types that the encoder may compute in, by the names that flags use."""

PAYS_FROM = 1.5
"""bfloat16 is chosen where the product is this many times quicker; below, rounding buys nothing."""

_ROWS, _IN, _OUT = 256, 768, 3072  # ViT-B's widest layer for a few of its tokens


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device that is asked for; with "auto" CUDA, else Apple's MPS, else the CPU.

    Raises UsageError for a device that torch does not know or this machine does not have.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"There is no device {device!r}; take auto, cpu, cuda, cuda:1 or mps."
        ) from error
    missing = {
        "cuda": not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(chosen.type, False):
        raise UsageError(
            f"This machine, or this build of torch, has no device {str(chosen)!r}; "
            "take cpu or auto."
        )
    return chosen


def choose_dtype(
    device: str | torch.device, dtype: str | torch.dtype = "auto", *, vit: bool = True
) -> torch.dtype:
    """The type in which an image encoder computes on a device.

    dtype: "auto", or one of `DTYPES` by name or as torch has it. "auto" is bfloat16 for a ViT on a
        CUDA device that multiplies it natively and on a CPU where `bfloat16_pays`; float32
        everywhere else.
    vit: False for the convolutional encoder, which computes in float32 only.
    Raises UsageError for any other type.
    """
    device = torch.device(device)
    if dtype == "auto":
        pays = (device.type == "cuda" and torch.cuda.is_bf16_supported(False)) or (
            device.type == "cpu" and vit and bfloat16_pays()
        )
        return torch.bfloat16 if vit and pays else torch.float32
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise UsageError(f"There is no dtype {dtype!r} here; take auto, {', '.join(DTYPES)}.")
    if not vit and chosen != torch.float32:
        raise UsageError(
            "The convolutional encoder of this model computes in float32 only; "
            "leave the dtype at auto."
        )
    return chosen


def set_encoder_dtype(sam: Sam, dtype: torch.dtype) -> None:
    """Lets the image encoder compute in another type; what goes in and comes out stays float32.

    The other parts of the model keep their weights and their type.
    """
    encoder = sam.image_encoder
    if dtype != torch.float32 and not isinstance(encoder, ImageEncoderViT):
        raise UsageError("The convolutional encoder of this model computes in float32 only.")
    encoder.to(dtype)
    if dtype != torch.float32:
        encoder.register_forward_pre_hook(_to_weights)
        encoder.register_forward_hook(_to_float32)


def _to_weights(encoder: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    dtype = next(encoder.parameters()).dtype
    return tuple(x.to(dtype) if isinstance(x, Tensor) else x for x in args)


def _to_float32(encoder: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return output.float()


def bfloat16_pays(answers: Path | None = None) -> bool:
    """Whether this CPU multiplies bfloat16 `PAYS_FROM` times as quickly as float32."""
    return bfloat16_ratio(answers) >= PAYS_FROM


def bfloat16_ratio(answers: Path | None = None) -> float:
    """How many times as quickly as float32 this CPU multiplies bfloat16.

    Measured once (under a second) for each CPU model and version of torch, and remembered.
    answers: where; `precision.json` in the cache folder where None.
    """
    answers = answers or cache_folder() / "precision.json"
    known = _read_answers(answers)
    key = f"{cpu_model()} / torch {torch.__version__}"
    ratio = known.get(key)
    if not isinstance(ratio, int | float) or isinstance(ratio, bool):
        ratio = round(_measure_ratio(), 2)
        _log.info("bfloat16 is %.2f times as quick as float32 on %s", ratio, key)
        try:
            write_json(answers, {**known, key: ratio}, indent=1)
        except SamkitError as error:  # a cache that cannot be written must not keep a model away
            _log.info("the answer was not kept: %s", error)
    return ratio


def cpu_model() -> str:
    """What the system calls its processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def _read_answers(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _measure_ratio() -> float:
    """Time of a product of the model's shape in float32 over its time in bfloat16."""
    x, weight = torch.ones(_ROWS, _IN), torch.ones(_OUT, _IN)
    plain = _quickest(x, weight)
    return plain / _quickest(x.bfloat16(), weight.bfloat16())


@torch.inference_mode()
def _quickest(x: Tensor, weight: Tensor) -> float:
    """Seconds of the best of a few products after one that warms up."""
    F.linear(x, weight)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        F.linear(x, weight)
        times.append(time.perf_counter() - start)
    return min(times)
