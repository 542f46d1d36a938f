"""`samkit models`: the table, and a download from a server on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from samkit.checkpoints import known

CONTENT = bytes(range(256)) * 20_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serves CONTENT as vit_b, whole or from a byte on; yields the ranges that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "bytes=0-")
            asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
                )
            self.end_headers()
            self.wfile.write(CONTENT[start:])

        def log_message(self, *_: object) -> None: ...

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    vit_b = replace(
        known.KNOWN["vit_b"],
        url=f"http://127.0.0.1:{httpd.server_port}/sam.pth",
        bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(known.KNOWN, "vit_b", vit_b)
    yield asked
    httpd.shutdown()
    httpd.server_close()


def test_table_says_what_is_known_and_where_to_put_it(samkit) -> None:
    done = samkit("models")
    assert done.code == 0
    for name in ("default", "vit_b", "vit_l", "vit_h"):
        assert f"\n{name}: " in done.out
    assert "Apache-2.0" in done.out
    assert "375 MB" in done.out
    assert str(known.KNOWN["vit_h"].path) in done.out


def test_download_shows_progress_and_is_seen_by_the_table(samkit, server) -> None:
    done = samkit("models", "download", "vit_b")
    assert done.code == 0
    path = Path(done.out.strip())
    assert path.read_bytes() == CONTENT
    assert "vit_b: 5 of 5 MB" in done.err
    assert f"vit_b: {path}" in samkit("models").out


def test_download_goes_on_where_it_was_stopped(samkit, server) -> None:
    part = known.KNOWN["vit_b"].part
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:3_000_000])
    assert "59% of it" in samkit("models").out
    assert samkit("models", "download", "vit_b").code == 0
    assert server == ["bytes=3000000-"]


def test_unknown_name_is_one_sentence(samkit) -> None:
    done = samkit("models", "download", "vit_x")
    assert done.code == 2
    assert "'vit_x'" in done.err


def test_without_network_it_says_what_to_put_where(samkit, monkeypatch) -> None:
    gone = replace(known.KNOWN["vit_b"], url="http://127.0.0.1:9/sam.pth")
    monkeypatch.setitem(known.KNOWN, "vit_b", gone)
    monkeypatch.setattr("samkit.checkpoints.download._PAUSE", 0.0)
    done = samkit("models", "download", "vit_b")
    assert done.code == 2
    assert str(gone.path) in done.err
    assert gone.sha256 in done.err
