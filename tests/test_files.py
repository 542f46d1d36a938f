import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from samkit.errors import SamkitError, UsageError
from samkit.files import (
    atomic_write,
    cache_folder,
    check_writable,
    held,
    remove_unfinished,
    sha256_of,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    with atomic_write(path) as file:
        file.write(b"abc")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert names(path.parent) == ["a.bin"]


def test_text_is_utf8_with_line_ends_as_given(tmp_path):
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("ä\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n"


def test_a_seekable_file_can_be_read_back_inside(tmp_path):
    with atomic_write(tmp_path / "a.npz", "w+b") as file:
        np.savez(file, x=np.arange(3))
        file.seek(0)
        assert np.load(file)["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, FileNotFoundError])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path, "w") as file:
        file.write("new")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_killed_process_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from samkit.files import atomic_write\n"
        "with atomic_write(sys.argv[1], 'w') as f:\n"
        "    f.write('new' * 100000); f.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert all(name.startswith(".") for name in names(tmp_path) if name != "a.txt")


def test_a_full_disk_is_one_sentence_with_its_cause(tmp_path):
    path = tmp_path / "big.bin"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(SamkitError, match="disk is full") as caught, atomic_write(path) as file:
            file.write(bytes(1 << 21))
        assert "big.bin" in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(SamkitError, match="disk is full"), atomic_write(path) as file:
            file.write(bytes(1 << 20))
            file.write(b"x")  # fits the buffer, fails when it is flushed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in tmp_path / "file" / "a.txt", tmp_path / "folder":
        with pytest.raises(SamkitError, match=path.name), atomic_write(path, "w") as file:
            file.write("x")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SamkitError, match="not permitted"), atomic_write(tmp_path / "a"):
        pass
    tmp_path.chmod(0o700)


def test_permissions_follow_the_umask_or_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        write_json(path, 1)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_json(path, 2)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_json(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "1\n"


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    write_json(tmp_path / ("x" * 255), 1)


def test_unknown_modes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="modes"), atomic_write(tmp_path / "a", "a"):
        pass


def test_json_takes_numpy_values_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"ü": [np.float32(0.5), np.int64(3), np.bool_(True)], "a": np.arange(2)})
    assert json.loads(path.read_text()) == {"ü": [0.5, 3, True], "a": [0, 1]}
    assert "ü" in path.read_text()
    for bad in float("nan"), np.float64("inf"):
        with pytest.raises(ValueError):
            write_json(path, bad)
    with pytest.raises(TypeError, match="set"):
        write_json(path, {1})
    assert json.loads(path.read_text())["a"] == [0, 1]


def test_hashes_and_their_progress(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    calls = []
    found = sha256_of(tmp_path / "a", lambda done, total: calls.append((done, total)))
    assert found == hashlib.sha256(data).hexdigest()
    assert calls[-1] == (len(data), len(data)) and len(calls) == 3
    with pytest.raises(UsageError, match="nowhere"):
        sha256_of(tmp_path / "nowhere")


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMKIT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SAMKIT_CACHE")
    assert "samkit" in cache_folder().name


def test_a_folder_is_held_by_one_and_then_by_the_next(tmp_path):
    folder = tmp_path / "deep" / "out"
    with held(folder):
        with pytest.raises(UsageError, match="Another samkit writes into"), held(folder):
            pass
        (folder / "file").touch()
    with pytest.raises(ValueError, match="mine"), held(folder):
        raise ValueError("mine")
    with held(folder):
        pass
    with pytest.raises(UsageError, match="is a file"), held(folder / "file"):
        pass
    with pytest.raises(SamkitError, match="Cannot write"), held(folder / "file" / "deeper"):
        pass


def test_only_unfinished_files_are_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as file:
        left = Path(file.name).name
        raise KeyboardInterrupt
    for name in (left, "a", ".samkit-notes", "other.tmp"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".samkit-notes", "a", "other.tmp"]


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    (tmp_path / "there").write_text("old")
    for path in (tmp_path / "there", tmp_path / "deep" / "new"):
        check_writable(path)
    assert (tmp_path / "there").read_text() == "old"
    assert list((tmp_path / "deep").iterdir()) == []
    with pytest.raises(SamkitError, match="Cannot write"):
        check_writable(tmp_path / "there" / "below")
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path / "deep")
