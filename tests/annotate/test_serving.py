"""The command, the server's start and stop, the Python client, the events."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

from samkit import images
from samkit.annotate.client import Client, ServerError
from samkit.annotate.events import Events
from samkit.annotate.project import open_project
from samkit.annotate.routes.page import PAGE
from samkit.annotate.serving import Job, admit, serve
from samkit.cli.main import main
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreWriter
from samkit.errors import UsageError
from samkit.masks import rle


@contextmanager
def command(*words):
    """`samkit annotate …` as a process, and the first line it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "samkit", "annotate", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_command_from_its_start_to_its_end(photographs, tmp_path, capsys):
    """The whole way with the bundled model, in one server, since each start loads torch."""
    words = (photographs, "--project", tmp_path / "p", "--dtype", "float32")
    early = _add_person(capsys, photographs, tmp_path / "p", "ann")
    assert early.startswith("#token=")
    with command(*words, "--no-open", "--precompute") as (process, address):
        assert address.startswith("http://127.0.0.1:") and "/#token=" in address
        client = Client(address, "tests")
        events = _listen(address)  # before the first embedding, which is told once
        base, port = address.split("#")[0], address.split(":")[2].split("/")[0]
        ann = Client(base + early).project()["me"]
        assert ann == {"name": "ann", "role": "annotator"}
        words = ("rita", "--role", "reviewer", "--port", port)
        rita = Client(_add_person(capsys, photographs, tmp_path / "p", *words))
        assert rita.project()["me"]["role"] == "reviewer"
        eve = Client(client.add_person("eve", "admin"))
        assert Client(eve.add_person("bob")).project()["me"]["role"] == "annotator"
        project = client.project()
        assert (project["name"], project["model"]["name"]) == ("p", "default")
        taken = client.next()
        image = client.image(taken.image)
        size = (image["height"], image["width"])
        assert client.picture(taken.image).shape == (*size, 3)
        header, tensors = client.embedding(taken.image)
        assert header["original_size"] == list(size)
        assert tensors["image_embeddings"].shape == (1, 128, 64, 64)
        mask = np.zeros(size, bool)
        mask[3:9, 4:20] = True
        first = client.put(taken.image, mask, labels=["box"])
        assert first["status"] == "accepted"
        stale = client.put(taken.image, ~mask, instance=first["instance"], base=0)
        assert stale["status"] == "conflict"
        other = client.put(taken.image, ~mask)
        deleted = client.delete(taken.image, other["instance"], 1)
        assert deleted["status"] == "accepted"
        assert deleted["image_version"] == client.image(taken.image)["version"]
        (kept,) = client.image(taken.image)["instances"]
        assert np.array_equal(rle.decode(kept["rle"]), mask)
        client.renew(taken)
        assert client.take(taken.image).lease == taken.lease
        seen = client.image(taken.image)["version"]
        with pytest.raises(ServerError, match="changed since") as refused:
            client.submit(taken.image, seen - 1, 5)
        assert refused.value.status == 409
        submitted = client.submit(taken.image, seen, 5, op="once")
        assert client.submit(taken.image, seen, 5, op="once") == submitted
        client.release(taken)
        with pytest.raises(ServerError, match="submitted") as refused:
            client.skip(taken.image, submitted, "late")
        assert refused.value.status == 409
        snapshot = client.snapshot()
        assert (tmp_path / "p" / "snapshots" / snapshot["snapshot"] / "0.json").is_file()
        assert "coco" in client.formats()
        exported = client.export("coco", tmp_path / "out.zip")
        assert exported["snapshot"] == snapshot["snapshot"]
        assert (tmp_path / "out.zip").read_bytes()[:2] == b"PK"
        client.review(taken.image, submitted, accept=True)
        assert [i["state"] for i in client.images()] == ["accepted", "unlabelled", "unlabelled"]
        _wait_for(events, lambda event: event == {"kind": "prepared", "image": taken.image})
        _wait_for(events, lambda event: event["kind"] == "job" and event["state"] == "done")
        with pytest.raises(UsageError, match="open in another"):
            serve(Job(photos=[photographs], folder=tmp_path / "p"), print)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=120)
        assert (process.returncode, rest) == (0, "")
        assert "Traceback" not in errors
        assert "[1/3] 0.png: embedded" in errors
        if not (PAGE / "index.html").is_file():
            assert "npm run build" in errors
        with pytest.raises(ServerError, match="does not answer"):
            client.project()


def _add_person(capsys, photographs, project, *words):
    """What the command prints."""
    words = ["annotate", photographs, "--project", project, "--add-person", *words]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out.strip()


def _listen(address):
    """Lines of the event stream, as they come."""
    base, token = address.split("/#token=")
    request = urllib.request.Request(
        f"{base}/api/events", headers={"Authorization": f"Bearer {token}"}
    )
    stream = urllib.request.urlopen(request, timeout=60)
    assert stream.headers["content-type"].startswith("text/event-stream")
    lines = [stream.readline().decode().strip()]  # the greeting: we are on the list

    def read():
        for line in stream:
            lines.append(line.decode().strip())

    threading.Thread(target=read, daemon=True).start()
    return lines


def _wait_for(lines, is_it):
    """Until such an event was told, which may still be on its way."""
    end = time.monotonic() + 60
    while not any(is_it(json.loads(line[6:])) for line in [*lines] if line.startswith("data: ")):
        assert time.monotonic() < end, lines
        time.sleep(0.02)


def test_a_port_that_is_taken_is_named(photographs, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["annotate", photographs, "--project", tmp_path / "p", "--port", port, "--no-open"]
        assert main([str(word) for word in words]) == 2
    assert "try another --port" in capsys.readouterr().err


def test_a_port_that_cannot_be_is_refused(photographs, tmp_path, capsys):
    words = ["annotate", photographs, "--project", tmp_path / "p", "--port", 65536, "--no-open"]
    assert main([str(word) for word in words]) == 2
    assert "--port is from 0, any free one, to 65535, not 65536." in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_masks_are_imported_by_the_command(photographs, tmp_path, capsys):
    size = images.read(photographs / "0.png").shape[:2]
    mask = np.zeros(size, bool)
    mask[3:9, 4:20] = True
    with StoreWriter(tmp_path / "store") as writer:
        writer.write(photographs / "0.png", [from_mask(mask, 1)], size=size)
    words = ["annotate", "--import", tmp_path / "store", "--import-only"]
    assert main([str(word) for word in [*words, photographs, "--project", tmp_path / "p"]]) == 0
    assert "1 mask brought in for 1 image" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--project", tmp_path / "p"]]) == 0
    assert "0 masks brought in for 1 image; 1 were there" in capsys.readouterr().err
    text = (tmp_path / "store" / "0.json").read_text()
    (tmp_path / "store" / "0.json").write_text(text.replace('"counts":"', '"counts":"~'))
    assert main([str(word) for word in [*words, "--project", tmp_path / "p"]]) == 1
    assert "left out 0 annotation 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--project", "nothing"],
        ["photographs", "--import-only"],
        ["--import", "x"],
        ["photographs", "--role", "admin"],
        ["photographs", "--add-person", "ann", "--precompute"],
        ["photographs", "--add-person", "ann", "--role", "king"],
    ],
)
def test_what_cannot_be_meant_is_refused(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", "--no-open", *words]) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_process_whose_server_is_gone_ends_quietly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "samkit.annotate.worker", str(tmp_path / "no-model"), "cpu", "auto"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()  # before it says that there is no such model
    assert process.stderr.read() == ""
    process.stdin.close()
    process.stderr.close()
    assert process.wait(120) == 0


def test_other_machines_are_refused_before_anything_is_made(photographs, tmp_path, capsys):
    words = ["annotate", photographs, "--project", tmp_path / "p", "--host", "192.168.1.2"]
    assert main([str(word) for word in words]) == 2
    assert "this machine only" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
    with open_project(tmp_path / "p"):  # with somebody who starts it, but without an account
        pass
    assert main([str(word) for word in words]) == 2
    assert "this machine only" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0"])
def test_a_server_has_one_name_also_where_people_have_accounts(photographs, tmp_path, host):
    job = Job(photos=[photographs], folder=tmp_path / "p", host=host)
    admit(job, "ann", "annotator")
    with pytest.raises(UsageError, match="one address or name"):
        serve(job, pytest.fail)


def test_where_people_have_accounts_a_name_is_served_behind_tls(photographs, tmp_path, apart):
    """A name that means this machine stands for one that others reach."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip("needs a name of this machine that can be looked up")
    job = Job(photos=[photographs], folder=tmp_path / "p", host=name)
    admit(job, "ann", "annotator")
    addresses = []

    def ready(address):
        addresses.append(address)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart(serve, job, ready)
    assert addresses[0].startswith(f"https://{name.lower()}/#token=")


def test_embeddings_are_made_ahead_without_a_server(photographs, tmp_path, capsys):
    (photographs / "broken.png").write_bytes(b"no picture")
    words = ["annotate", photographs, "--project", tmp_path / "p", "--precompute-only"]
    words = [str(word) for word in [*words, "--dtype", "float32"]]
    assert main(words) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "broken.png" in told.err
    assert "[3/3] 2.png: embedded" in told.err
    assert len(list((tmp_path / "p" / "cache").glob("*/*"))) == 3


@pytest.mark.parametrize("whole", [True, False])
def test_the_exit_code_says_whether_all_embeddings_are_there(
    photographs, tmp_path, monkeypatch, whole
):
    monkeypatch.setattr("samkit.annotate.serving.embed_all", lambda job, report: whole)
    words = ["annotate", str(photographs), "--project", str(tmp_path / "p"), "--precompute-only"]
    assert main(words) == (0 if whole else 1)


def test_photographs_that_are_not_there_are_named(tmp_path, capsys):
    words = ["annotate", tmp_path / "none", "--project", tmp_path / "p", "--no-open"]
    assert main([str(word) for word in words]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "ftp://a/#token=b", "x"])
def test_a_client_wants_the_whole_address(address):
    with pytest.raises(UsageError, match="whole line"):
        Client(address)


def test_an_event_reaches_all_who_listen_and_the_end_ends_them(apart):
    import asyncio

    async def listen(events, heard):
        async for text in events.stream():
            heard.append(text)

    async def play():
        events, heard = Events(), ([], [])
        listeners = [asyncio.create_task(listen(events, each)) for each in heard]
        await asyncio.sleep(0.01)
        thread = threading.Thread(target=events.publish, args=({"kind": "x"},))
        thread.start()
        await asyncio.to_thread(thread.join)
        events.close()
        await asyncio.wait_for(asyncio.gather(*listeners), 5)
        return heard

    for each in apart(asyncio.run, play()):
        assert each[1:] == [b'data: {"kind": "x"}\n\n']


def test_a_listener_that_sleeps_loses_the_oldest_and_costs_no_memory(apart):
    import asyncio

    async def play():
        events = Events()
        stream = events.stream()
        await anext(stream)
        for number in range(1000):
            events.publish({"n": number})
        await asyncio.sleep(0.01)
        first = json.loads((await anext(stream))[6:])
        await stream.aclose()
        return first["n"]

    assert apart(asyncio.run, play()) == 1000 - 256
