"""One side of a comparison: a process that holds one package's ViT-B and times what it is told to.

    python benchmarks/worker.py samkit|official THREADS

Reads a JSON object a line from standard input, {"task": NAME, ...}, and answers each with one. The
weights are seeded, the same on both sides; random numbers come from seeds; the allocator is as it
comes. `side_by_side.py` starts two of these and asks them in turns.
"""

import contextlib
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seeded import fill
from torch import Tensor

INPUT, GRID, CHANNELS = 1024, 64, 256


class Worker:
    """What both packages are asked in the same words."""

    name = ""

    def hello(self) -> dict[str, Any]:
        """Who answers."""
        return {
            "package": self.name,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        }

    def encoder(self) -> dict[str, Any]:
        """One image through the encoder; a sample of the embedding for comparison."""
        seconds, out = timed(lambda: self.sam.image_encoder(random_image()))
        return {"seconds": seconds, "sample": sample(out)}

    def memory(self) -> dict[str, Any]:
        """Peak of resident memory while encoding, above what was there with the model loaded."""
        image = random_image()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here (Linux)
        before = resident_mb("VmRSS")
        timed(lambda: self.sam.image_encoder(image))
        return {"before_mb": before, "extra_mb": resident_mb("VmHWM") - before}

    def decoder(self, prompts: int, chunk: int | None) -> dict[str, Any]:
        """Single-point prompts, three masks each; chunk: prompts at a time."""
        seeded = torch.Generator().manual_seed(2)
        embedding = torch.randn(1, CHANNELS, GRID, GRID, generator=seeded)
        points = torch.rand(prompts, 1, 2, generator=seeded) * INPUT
        seconds, (low, iou) = timed(lambda: self.decode(embedding, points, chunk))
        return {"seconds": seconds, "sample": sample(low) + sample(iou)}

    def automatic(self, image: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Every mask of an image; image: path of a .npy of H x W x 3 uint8."""
        pixels = np.load(image)
        seconds, records = timed(lambda: self.generate(pixels, settings))
        return {"seconds": seconds, "masks": len(records)}


class Official(Worker):
    """segment-anything 1.0 from PyPI."""

    name = "official"

    def __init__(self) -> None:
        from segment_anything import build_sam_vit_b

        self.sam = build_sam_vit_b().eval()
        fill(self.sam)

    def decode(self, embedding: Tensor, points: Tensor, chunk: int | None) -> tuple[Tensor, Tensor]:
        """Low-res logits and predicted IoU; in one batch unless told otherwise."""
        pe = self.sam.prompt_encoder.get_dense_pe()
        answers = []
        for part in points.split(chunk or len(points)):
            labels = torch.ones(part.shape[:2], dtype=torch.int64)
            sparse, dense = self.sam.prompt_encoder((part, labels), boxes=None, masks=None)
            answers.append(self.sam.mask_decoder(embedding, pe, sparse, dense, True))
        return joined(answers)

    def generate(self, pixels: Any, settings: dict[str, Any]) -> list[Any]:
        """Records of the automatic mask generator."""
        from segment_anything import SamAutomaticMaskGenerator

        return SamAutomaticMaskGenerator(self.sam, **settings).generate(pixels)


class Samkit(Worker):
    """This package."""

    name = "samkit"

    def __init__(self) -> None:
        from samkit.modeling import VARIANTS, Sam

        self.sam = Sam(VARIANTS["vit_b"]).eval()
        fill(self.sam)

    def decode(self, embedding: Tensor, points: Tensor, chunk: int | None) -> tuple[Tensor, Tensor]:
        """Low-res logits and predicted IoU; as many prompts at a time as `inference` likes."""
        from samkit.inference.decoding import decode
        from samkit.inference.embeddings import ImageEmbedding
        from samkit.inference.prompts import Prompts

        labels = torch.ones(points.shape[:2], dtype=torch.int64)
        size = (INPUT, INPUT)
        embedded = ImageEmbedding(embedding, original_size=size, input_size=size, model_id="")
        return joined(list(decode(self.sam, embedded, Prompts(points, labels), True, chunk)))

    def bfloat16_ratio(self) -> dict[str, Any]:
        """What the probe says of this processor, and from where on bfloat16 is chosen."""
        from samkit.checkpoints.precision import PAYS_FROM, bfloat16_ratio

        return {"ratio": bfloat16_ratio(), "pays_from": PAYS_FROM}

    def to_bfloat16(self) -> dict[str, Any]:
        """From here on the encoder computes in bfloat16."""
        from samkit.checkpoints.precision import set_encoder_dtype

        set_encoder_dtype(self.sam, torch.bfloat16)
        return {}

    def default_encoder(self, size: int) -> dict[str, Any]:
        """One image through the encoder of the small default model, random weights."""
        from samkit.modeling import VARIANTS, Sam

        if not hasattr(self, "small"):
            self.small = Sam(VARIANTS["default"]).eval()
            self.small.set_image_size(size)
        image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
        seconds, _ = timed(lambda: self.small.encode(image))
        return {"seconds": seconds}

    def generate(self, pixels: Any, settings: dict[str, Any]) -> list[Any]:
        """Records of the automatic mask generator."""
        from samkit import SamAutomaticMaskGenerator

        return SamAutomaticMaskGenerator(self.sam, **settings).generate(pixels)


def random_image() -> Tensor:
    """1 x 3 x 1024 x 1024, the same every time."""
    return torch.randn(1, 3, INPUT, INPUT, generator=torch.Generator().manual_seed(1))


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes without gradients, and what it returns."""
    with torch.no_grad():
        start = time.perf_counter()
        out = run()
        return time.perf_counter() - start, out


def joined(answers: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Chunks of (low-res logits, IoU) as one of each."""
    low, iou = zip(*answers, strict=True)
    return torch.cat(low), torch.cat(iou)


def sample(tensor: Tensor) -> list[float]:
    """About a thousand of the values."""
    flat = tensor.reshape(-1)
    return flat[:: max(1, flat.numel() // 997)].tolist()


def resident_mb(key: str) -> float:
    """A line of this process's status, in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {key} in /proc/self/status")


def main() -> None:
    """Answers until standard input ends."""
    package, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        worker = Official() if package == "official" else Samkit()
        for line in sys.stdin:
            request = json.loads(line)
            answer = getattr(worker, request.pop("task"))(**request)
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
