"""The command `samkit`: its verbs, and what becomes of errors.

Every verb is loaded when it is called, so that `samkit --help` is quick.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from samkit.cli.version import version_line
from samkit.errors import SamkitError
from samkit.extras import how_to_install

DONE, SOME_FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; some inputs failed and were named; wrong usage or unusable input; Ctrl-C."""

_EXTRAS = {
    "cv2": "train",
    "matplotlib": "train",
    "scipy": "train",
    "skimage": "train",
    "tensorboard": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "alembic": "annotate",
    "fastapi": "annotate",
    "psycopg": "annotate",
    "sqlalchemy": "annotate",
    "uvicorn": "annotate",
}
"""Packages that only some verbs need, and the extra of ours that brings each."""

_TERMINATED = 128 + signal.SIGTERM

app = App(
    name="samkit",
    help="Segment Anything: every mask of a photograph, or the one you point at.",
    help_format="markdown",
    help_epilogue=(
        "Example: samkit auto photos/ -o masks/ --overlay\n\n"
        "Exit codes: 0 done, 1 some inputs failed (each is named), 2 wrong usage or unusable "
        "input, 130 interrupted."
    ),
    version=version_line,
    result_action="return_value",
)
for _verb, _help in {
    "auto": "Every mask of every photograph.",
    "segment": "The masks that points, boxes or a mask ask for.",
    "train": "Train a model, or fine-tune one, on images with masks.",
    "pretrain": "Pre-train an image encoder on photographs without labels.",
    "evaluate": "How good a model's masks are, by the paper's protocols.",
    "annotate": "Masks by hand, in the browser.",
    "convert": "Images with masks, from any format into any other.",
    "export": "A model's parts as ONNX graphs.",
    "models": "The models that are known by name, and where they lie.",
    "version": "Versions of samkit and of what it computes with.",
}.items():
    app.command(f"samkit.cli.{_verb}:app", name=_verb, help=_help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of users become one sentence on stderr.

    arguments: those of the process where None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _unwinding_when_terminated():
            code = app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(f"{_sentence(error)} See `{_help_for(words)}`.")
    except SamkitError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        return _fail(f"This needs the package {error.name}: {how_to_install(extra)}")
    except KeyboardInterrupt:
        print("samkit: Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code if isinstance(code, int) else DONE


def _fail(sentence: str) -> int:
    print(f"samkit: {sentence}", file=sys.stderr)
    return UNUSABLE


def _sentence(error: CycloptsError) -> str:
    if isinstance(error, MissingArgumentError) and error.argument and not error.tokens_so_far:
        token = error.keyword
        return f"{token} needs a value." if token else f"{error.argument.name} is missing."
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"Nothing is known about {' '.join(error.unused_tokens)!r} here."
    return str(error)


def _help_for(words: Sequence[str]) -> str:
    verb = f"{words[0]} " if words and words[0] in app else ""
    return f"samkit {verb}--help"


@contextmanager
def _unwinding_when_terminated() -> Iterator[None]:
    """Let SIGTERM unwind the block, so that unfinished temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)
