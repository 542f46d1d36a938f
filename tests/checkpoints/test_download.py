"""Downloads from a real server that misbehaves in every way a network can."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import samkit.checkpoints.download as downloading
from samkit.checkpoints.download import download, fetch
from samkit.checkpoints.known import KNOWN, KnownCheckpoint
from samkit.errors import DownloadError, UsageError

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does; tests change it."""

    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """For each connection to come, after how many bytes it is cut."""
    codes: list[int] = field(default_factory=list)
    """For each connection to come, an error that it answers."""
    delay: float = 0.0
    requests: list[str | None] = field(default_factory=list)
    """The Range header of every request that came."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    behaviour: Behaviour

    @property
    def entry(self) -> KnownCheckpoint:
        url = f"http://127.0.0.1:{self.server_port}/w.pth"
        return KnownCheckpoint("vit_b", "w.pth", len(CONTENT), SHA256, url, "none", "")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        how = self.server.behaviour
        wanted = self.headers.get("Range")
        how.requests.append(wanted)
        time.sleep(how.delay)
        if how.codes:
            self.send_error(how.codes.pop(0))
            return
        start = 0
        if wanted and how.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(how.content):
                self.send_error(416)
                return
            self.send_response(206)
            last = len(how.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(how.content) - start))
        self.end_headers()
        end = start + how.cuts.pop(0) if how.cuts else len(how.content)
        self.wfile.write(how.content[start:end])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "_PAUSE", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server(("127.0.0.1", 0), Handler)
    server.behaviour = Behaviour()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setitem(KNOWN, "vit_b", server.entry)
    yield server
    server.shutdown()
    server.server_close()


def files_in(cache: Path) -> set[str]:
    return {path.name for path in (cache / "checkpoints").iterdir()} - {"w.pth.lock"}


def test_a_download_lies_whole_in_the_cache_and_tells_how_far_it_is(
    server: Server, cache: Path
) -> None:
    calls: list[tuple[int, int]] = []

    path = download("vit_b", progress=lambda done, total: calls.append((done, total)))

    assert path == cache / "checkpoints" / "w.pth"
    assert path.read_bytes() == CONTENT
    assert files_in(cache) == {"w.pth"}
    assert calls[0] == (0, len(CONTENT)) and calls[-1] == (len(CONTENT), len(CONTENT))
    assert calls == sorted(calls)


def test_what_is_there_is_not_fetched_again(server: Server) -> None:
    download("vit_b")
    download("vit_b")

    assert server.behaviour.requests == [None]


def test_a_cached_file_with_another_content_is_replaced(server: Server, cache: Path) -> None:
    path = download("vit_b")
    path.write_bytes(bytes(len(CONTENT)))

    assert download("vit_b").read_bytes() == CONTENT


def test_cut_connections_are_resumed_where_they_ended(server: Server) -> None:
    server.behaviour.cuts = [1_000_000, 700_000, 5]

    assert download("vit_b").read_bytes() == CONTENT
    assert server.behaviour.requests == [
        None,
        "bytes=1000000-",
        "bytes=1700000-",
        "bytes=1700005-",
    ]


def test_a_later_run_resumes_what_an_earlier_one_left(server: Server, cache: Path) -> None:
    server.behaviour.cuts = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"stopped .* 1,000,000 of 3,072,000 bytes are kept"):
        download("vit_b")
    assert files_in(cache) == {"w.pth.part"}
    calls: list[int] = []

    path = download("vit_b", progress=lambda done, total: calls.append(done))

    assert path.read_bytes() == CONTENT
    assert calls[0] == 1_000_000
    assert server.behaviour.requests[-1] == "bytes=1000000-"


def test_a_server_without_ranges_sends_all_of_it_again(server: Server) -> None:
    server.behaviour.ranges = False
    server.behaviour.cuts = [1_000_000]

    assert download("vit_b").read_bytes() == CONTENT


def test_wrong_content_is_deleted_and_named(server: Server, cache: Path) -> None:
    server.behaviour.content = bytes(len(CONTENT))

    with pytest.raises(DownloadError, match="SHA-256 is wrong; it was deleted"):
        download("vit_b")

    assert files_in(cache) == set()


def test_a_part_of_another_file_is_found_out_by_the_hash(server: Server, cache: Path) -> None:
    part = server.entry.part
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)

    with pytest.raises(DownloadError, match="SHA-256 is wrong"):
        download("vit_b")
    assert download("vit_b").read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server: Server) -> None:
    part = server.entry.part
    part.parent.mkdir()
    part.write_bytes(CONTENT + b"x")

    assert download("vit_b").read_bytes() == CONTENT
    assert server.behaviour.requests == [None]


def test_a_file_of_another_length_is_not_fetched(server: Server, cache: Path) -> None:
    server.behaviour.content = CONTENT + b"x"

    with pytest.raises(DownloadError, match=r"offers 3,072,001 bytes where w\.pth has 3,072,000"):
        download("vit_b")
    assert files_in(cache) == {"w.pth.part"}
    assert server.entry.part.stat().st_size == 0


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(server: Server) -> None:
    server.behaviour.codes = [503, 500, 429]
    assert download("vit_b").read_bytes() == CONTENT

    server.entry.path.unlink()
    server.behaviour.codes = [404, 404]
    with pytest.raises(DownloadError, match=r"answers 404 .*put it at"):
        download("vit_b")
    assert server.behaviour.codes == [404]


def test_offline_it_says_what_to_put_where(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_PAUSE", 0.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # never listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/w.pth"
        entry = KnownCheckpoint("vit_b", "w.pth", len(CONTENT), SHA256, url, "none", "")
        with pytest.raises(DownloadError) as caught:
            fetch(entry)

    text = str(caught.value)
    assert text.startswith(f"Cannot reach {url}") and "Connection refused" in text
    assert str(cache / "checkpoints" / "w.pth") in text
    assert SHA256 in text and "3,072,000 bytes" in text


def test_two_at_once_fetch_it_once(server: Server) -> None:
    server.behaviour.delay = 0.2
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(download("vit_b"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(paths) == 2 and paths[0].read_bytes() == CONTENT
    assert server.behaviour.requests == [None]


def test_a_full_disk_is_named_before_anything_is_fetched(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda folder: usage)

    with pytest.raises(DownloadError, match=r"needs 3 MB more .* has 1 MB"):
        download("vit_b")
    assert server.behaviour.requests == []


def test_a_cache_that_cannot_be_made_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAMKIT_CACHE", str(tmp_path / "file"))

    with pytest.raises(DownloadError, match=r"Cannot write .*SAMKIT_CACHE"):
        download("vit_b")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no model named 'vit_x' to download; there are vit_b"):
        download("vit_x")


def test_the_table_is_the_published_one() -> None:
    assert {
        known.name: (known.file, known.bytes, known.sha256[:8]) for known in KNOWN.values()
    } == {
        "vit_b": ("sam_vit_b_01ec64.pth", 375_042_383, "ec2df627"),
        "vit_l": ("sam_vit_l_0b3195.pth", 1_249_524_607, "3adcc431"),
        "vit_h": ("sam_vit_h_4b8939.pth", 2_564_550_879, "a7bf3b02"),
    }
    assert all(len(known.sha256) == 64 for known in KNOWN.values())
