"""Exit codes and what is said on stderr; how quickly the command starts."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import samkit.cli.main as command
from samkit.errors import SamkitError, UsageError
from samkit.extras import how_to_install

VERBS = ("auto", "segment", "models", "version")


def in_python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_imports_neither_torch_nor_numpy_nor_pillow() -> None:
    done = in_python(
        """
        import sys
        from samkit.cli.main import main
        code = main(["--help"])
        heavy = {"torch", "numpy", "PIL", "pycocotools", "safetensors"} & set(sys.modules)
        assert not heavy, heavy
        sys.exit(code)
        """
    )
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert verb in done.stdout
    assert "130 interrupted" in done.stdout


@pytest.mark.parametrize("verb", [("models",), ("version",), ("segment", "--help")])
def test_verbs_that_run_no_model_do_not_import_torch(verb: tuple[str, ...]) -> None:
    done = in_python(
        """
        import sys
        from samkit.cli.main import main
        code = main(sys.argv[1:])
        assert "torch" not in sys.modules
        sys.exit(code)
        """,
        *verb,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_shows_an_example(verb, samkit) -> None:
    done = samkit(verb, "--help")
    assert done.code == 0
    assert f"Example: samkit {verb}" in done.out


def test_installed_command_prints_its_version() -> None:
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "samkit"), "--version"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "samkit 0.1.0\n")


def test_version_names_what_it_computes_with(samkit) -> None:
    done = samkit("version")
    assert done.code == 0
    for part in ("samkit", "Python", "torch", "numpy", "pillow"):
        assert part in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["auto"], "PHOTOS is missing"),
        (["auto", "photos"], "--out is missing"),
        (["auto", "photos", "-o"], "-o needs a value"),
        (["auto", "photos", "-o", "x", "--fromat", "coco"], "--fromat. Did you mean --format?"),
        (["auto", "photos", "-o", "x", "--format", "kitti"], '"kitti" for --format'),
        (["auto", "photos", "-o", "x", "--preset", "quick"], '"quick" for --preset'),
        (["auto", "photos", "-o", "x", "--pred-iou-thresh", "high"], "--pred-iou-thresh"),
        (["auto", "photos", "-o", "x", "--crop-n-layers", "-1"], "crop_n_layers must be at least"),
        (["atuo"], "atuo"),
        (["models", "donwload"], "donwload"),
    ],
)
def test_wrong_words_get_one_sentence_and_code_2(words, said, samkit) -> None:
    done = samkit(words)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("No."), 2), (SamkitError("The disk is full."), 2), (KeyboardInterrupt(), 130)],
)
def test_errors_become_codes(error, code, samkit, monkeypatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command, "app", raises)
    done = samkit()
    assert done.code == code
    assert (str(error) or "Interrupted") in done.err


def test_bugs_are_not_hidden(samkit, monkeypatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(command, "app", raises)
    with pytest.raises(ZeroDivisionError):
        samkit()


def test_handler_of_sigterm_is_given_back(samkit) -> None:
    before = signal.getsignal(signal.SIGTERM)
    samkit("version")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_has_had_enough_gets_no_traceback() -> None:
    samkit = os.path.join(os.path.dirname(sys.executable), "samkit")
    process = subprocess.Popen(
        [samkit, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(120)
    process.stderr.close()


@pytest.mark.parametrize("verb", ["auto", "segment", "models", "train", "version"])
def test_help_texts_do_not_wait_for_torch(verb: str) -> None:
    code = (
        "import sys; from samkit.cli.main import main\n"
        f"main([{verb!r}, '--help']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_missing_extra_is_named(capsys, monkeypatch) -> None:
    def verb() -> None:
        raise ModuleNotFoundError("No module named 'scipy.sparse'", name="scipy.sparse")

    monkeypatch.setattr(command, "app", lambda *_, **__: verb())
    assert command.main(["evaluate"]) == 2
    assert how_to_install("train") in capsys.readouterr().err
