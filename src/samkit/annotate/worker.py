"""The process that has the model: embeds images and writes the page's decoder, as it is told.

    python -m samkit.annotate.worker MODEL DEVICE DTYPE

It says on its standard output, in lines of JSON, first {id, name, img_size} of the model, then one
answer to each line on its standard input: {} or {error: SENTENCE}. It ends when its input does, so
also when the server was killed. Everything else that is printed goes to the standard error.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from samkit.annotate.embeddings import pack
from samkit.annotate.pictures import read
from samkit.errors import SamkitError
from samkit.extras import how_to_install
from samkit.files import atomic_write

if TYPE_CHECKING:
    from samkit.modeling import Sam

DECODER_FILES = ("decoder.onnx", "image.onnx", "constants.json")
"""What the page loads."""


def main(arguments: list[str]) -> int:
    """Runs until the input ends."""
    answers = _own_output()
    from samkit.checkpoints import load, model_id

    try:
        sam = load(arguments[0], device=arguments[1], dtype=arguments[2])
    except SamkitError as error:
        _say(answers, {"error": str(error)})
        return 2
    name = sam.config.variant or Path(arguments[0]).stem
    hello = {"id": model_id(sam), "name": name, "img_size": sam.image_encoder.img_size}
    _say(answers, hello)
    for line in sys.stdin:
        task = json.loads(line)
        work: Callable[..., None] = _WORK[task.pop("do")]
        try:
            work(sam, **task)
            _say(answers, {})
        except SamkitError as error:
            _say(answers, {"error": str(error)})
        except MemoryError:
            _say(answers, {"error": "There is not enough memory for this image."})
    return 0


def embed(
    sam: "Sam", path: str, size: tuple[int, int], crop: tuple[int, int, int, int], file: str
) -> None:
    """Embed a part of an image and write the bytes of the wire.

    path: of the image; size: its (H, W). crop: x0, y0, x1, y1. file: where to.
    """
    from samkit.checkpoints import model_id
    from samkit.inference import embed_images

    pixels = read(Path(path), (size[0], size[1]))
    x0, y0, x1, y1 = crop
    embedding = embed_images(sam, [pixels[y0:y1, x0:x1]])[0]
    tensors = {"image_embeddings": embedding.features} | embedding.fine
    data = pack(
        model_id(sam),
        (x0, y0, x1, y1),
        embedding.input_size,
        (size[0], size[1]),
        {name: tensor.float().cpu().numpy() for name, tensor in tensors.items()},
    )
    with atomic_write(file) as target:
        target.write(data)


def write_page_decoder(sam: "Sam", folder: str) -> None:
    """Write the decoder into a folder that appears whole."""
    try:
        from samkit.export import write_decoder
    except ImportError as error:
        raise SamkitError(
            f"The decoder cannot be exported ({error}): {how_to_install('annotate')}"
        ) from error
    target = Path(folder)
    fresh = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    write_decoder(sam, fresh)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(fresh, target)


_WORK: dict[str, Callable[..., None]] = {"embed": embed, "decoder": write_page_decoder}


def _own_output() -> IO[str]:
    """The standard output for our answers alone; whatever else is printed goes to the error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _say(answers: IO[str], value: dict[str, Any]) -> None:
    """Answers, or ends where the server is gone and nobody listens."""
    try:
        answers.write(json.dumps(value) + "\n")
        answers.flush()
    except BrokenPipeError:
        os._exit(0)  # an ordinary end would try to write what is left once more


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
