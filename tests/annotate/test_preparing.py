"""The process that has the model: urgency, crashes, and what the routes make of it."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import update

import samkit
from samkit import images
from samkit.annotate.ahead import Precomputing
from samkit.annotate.app import create_app
from samkit.annotate.embeddings import Cache, unpack
from samkit.annotate.events import Events
from samkit.annotate.model_process import ModelChoice
from samkit.annotate.preparing import Preparing, Source, Urgency
from samkit.annotate.tables import Image
from samkit.checkpoints import load, model_id, save
from samkit.errors import CheckpointError, SamkitError
from samkit.files import sha256_of
from samkit.inference import embed_images
from samkit.modeling import MaskDecoderConfig, PromptEncoderConfig, Sam, SamConfig, ViTConfig

TINY = SamConfig(
    ViTConfig(
        img_size=64, embed_dim=32, depth=1, num_heads=2, out_chans=16, global_attn_indexes=(0,)
    ),
    PromptEncoderConfig(embed_dim=16, mask_in_chans=8),
    MaskDecoderConfig(num_heads=2, mlp_dim=24, iou_head_hidden_dim=20),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    generator = torch.Generator().manual_seed(0)
    sam = Sam(TINY)
    for tensor in sam.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    save(sam.eval(), path, provenance={"licence": "none"})
    return path


@pytest.fixture(scope="module")
def prepared():
    """Ids of images that were said to be prepared."""
    return []


@pytest.fixture(scope="module")
def preparing(tiny, prepared, tmp_path_factory):
    """One process for all tests of this module, which finds what an earlier start left."""
    folder = tmp_path_factory.mktemp("preparing")
    left = folder / "d" / f"{model_id(load(tiny, device='cpu'))}-{samkit.__version__}"
    left.mkdir(parents=True)
    (left / "stale").touch()
    choice = ModelChoice(str(tiny), "cpu", "float32")
    made = Preparing(choice, Cache(folder / "c", 1 << 30), folder / "d", prepared.append)
    yield made
    made.close()


@pytest.fixture
def source(photographs):
    """A photograph with a content that no other test has."""
    path = photographs / "own.png"
    from PIL import Image

    pixels = np.random.default_rng(time.time_ns()).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return Source(f"id-{time.time_ns()}", sha256_of(path), path, (40, 60))


def test_an_embedding_is_the_one_that_the_model_makes(preparing, prepared, source, tiny):
    for crop in (source.whole, (10, 5, 50, 35)):
        preparing.embed(source, crop, Urgency.INTERACTIVE).result(60)
        header, tensors = unpack(preparing.cache.get(preparing.key(source.sha256, crop)))
        x0, y0, x1, y1 = crop
        sam = load(tiny, device="cpu", dtype="float32")
        (expected,) = embed_images(sam, [images.read(source.path)[y0:y1, x0:x1]])
        assert header["model"] == model_id(sam) == preparing.model.id
        assert header["crop"] == list(crop)
        assert header["input_size"] == list(expected.input_size)
        assert header["original_size"] == [40, 60]
        own = tensors["image_embeddings"].astype(np.float32)
        assert np.allclose(own, expected.features.numpy(), atol=2e-3, rtol=2e-3)
    assert prepared.count(source.image_id) == 1


def test_whoever_waits_comes_before_what_is_made_ahead(preparing, source, monkeypatch):
    done: list[str] = []
    order = threading.Lock()
    all_asked, do = threading.Event(), preparing._do
    monkeypatch.setattr(preparing, "_do", lambda wanted: all_asked.wait(60) and do(wanted))

    def note(name):
        def called(future):
            with order:
                done.append(name)

        return called

    crops = [(0, 0, 40 + n, 40) for n in range(8)]
    for number, crop in enumerate(crops[:7]):
        urgency = Urgency.SOME_TIME if number % 2 else Urgency.SOON
        preparing.embed(source, crop, urgency).add_done_callback(note(f"{urgency.name}{number}"))
    raised = preparing.embed(source, crops[5], Urgency.INTERACTIVE)
    urgent = preparing.embed(source, crops[7], Urgency.INTERACTIVE)
    urgent.add_done_callback(note("urgent"))
    last = preparing.embed(source, crops[3], Urgency.SOME_TIME)
    all_asked.set()
    for future in (raised, urgent, last):
        future.result(60)
    assert done.index("urgent") <= 3  # after the one that ran, and the one that was raised
    assert done.index("SOME_TIME5") < done.index("SOON6") < done.index("SOME_TIME1")


def test_a_process_that_was_killed_is_started_again(preparing, source):
    pid = preparing.pid
    os.kill(pid, signal.SIGKILL)
    preparing.embed(source, source.whole, Urgency.INTERACTIVE).result(60)
    assert preparing.pid != pid


def test_an_image_that_cannot_be_read_is_an_error_and_no_crash(preparing, source):
    pid = preparing.pid
    broken = Source("broken", "0" * 64, Path("/nowhere/x.png"), (40, 60))
    with pytest.raises(SamkitError, match=r"x\.png") as caught:
        preparing.embed(broken, broken.whole, Urgency.INTERACTIVE).result(60)
    assert "/nowhere" not in str(caught.value)
    other = Source("other", source.sha256, source.path, (41, 60))
    with pytest.raises(SamkitError, match="another size"):
        preparing.embed(other, other.whole, Urgency.INTERACTIVE).result(60)
    assert preparing.pid == pid


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"no model")
    choice = ModelChoice(str(tmp_path / "bad.pth"), "cpu", "float32")
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        Preparing(choice, Cache(tmp_path / "c", 1), tmp_path / "d")


def test_what_an_earlier_start_left_of_the_decoder_is_replaced(preparing):
    folder, ready = preparing.decoder()
    ready.result(60)
    names = ["constants.json", "decoder.onnx", "image.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert list(folder.parent.iterdir()) == [folder]


def test_the_routes_serve_embeddings_and_the_decoder(project, preparing):
    from starlette.testclient import TestClient

    app = create_app(project, preparing, token="t" * 43, hosts=["127.0.0.1:8000"])
    headers = {"Authorization": "Bearer " + "t" * 43}
    with TestClient(app, "http://127.0.0.1:8000", headers=headers) as http:
        model = http.get("/api/project").json()["model"]
        assert (model["id"], model["name"]) == (preparing.model.id, "tiny")
        image = http.get("/api/images").json()["images"][0]
        assert not image["prepared"]
        path = f"/api/images/{image['id']}/embedding"
        answer = http.get(path)
        assert answer.headers["content-type"] == "application/octet-stream"
        header, _ = unpack(answer.content)
        assert header["crop"] == [0, 0, image["width"], image["height"]]
        assert http.get("/api/images").json()["images"][0]["prepared"]
        header, _ = unpack(http.get(f"{path}?crop=1,2,30,40").content)
        assert header["crop"] == [1, 2, 30, 40]
        for crop in ("0,0,999,10", "10,0,5,40", "0,0,4,4", "a", "0,0,1", "-1,0,30,30"):
            assert http.get(f"{path}?crop={crop}").status_code == 422, crop
        whole = preparing.key(app_sha(project, image["id"]), (0, 0, 60, 40))
        preparing.cache.path(whole).write_bytes(b"damaged")
        assert unpack(http.get(path).content)[0]["crop"] == [0, 0, 60, 40]
        assert http.get("/api/decoder/constants.json").json()["img_size"] == 64
        for name in ("decoder.onnx", "image.onnx"):
            assert http.get(f"/api/decoder/{name}").status_code == 200
        assert http.get("/api/decoder/project.json").status_code == 404
        ahead = Precomputing(project.database, preparing, app.services.events)
        ahead.wait()
        assert all(i["prepared"] for i in http.get("/api/images").json()["images"])
        assert (ahead.failed, ahead.left) == ({}, 0)


def test_what_cannot_be_embedded_ahead_is_named(
    project, preparing, photographs, tmp_path, monkeypatch
):
    (photographs / "1.png").write_bytes(b"")
    monkeypatch.setattr(preparing, "_cache", Cache(tmp_path / "c", 1 << 30))
    ahead, told = made_ahead(project, preparing)
    assert (list(ahead.failed), ahead.left) == (["1.png"], 0)
    assert told[0] == "0.png: embedded"
    assert told[1].startswith("failed 1.png: ") and "changed" in told[1]
    (photographs / "2.png").write_bytes(b"")
    monkeypatch.setattr(preparing, "_cache", Cache(tmp_path / "d", 1 << 30))
    with project.database.write() as session:
        session.execute(update(Image).values(name="of two folders.png"))
    ahead, told = made_ahead(project, preparing)
    assert (list(ahead.failed), ahead.left) == (["of two folders.png"], 0)


def test_what_is_made_ahead_ends_where_the_cache_is_full(project, preparing, tmp_path, monkeypatch):
    """The second time, too: what is made then only takes the place of another."""
    monkeypatch.setattr(preparing, "_cache", Cache(tmp_path / "c", 1))
    ahead, told = made_ahead(project, preparing)
    full = "The cache is full; images without an embedding: "
    assert (ahead.left, told) == (2, ["0.png: embedded", f"{full}2."])
    preparing.cache.max_bytes = 2 * preparing.cache.total
    ahead, told = made_ahead(project, preparing)
    assert (ahead.left, told) == (1, ["1.png: embedded", f"{full}1."])
    ahead, told = made_ahead(project, preparing)
    assert (ahead.left, told) == (1, ["2.png: embedded", f"{full}1."])


def made_ahead(project, preparing):
    """What became of it, and what it told."""
    seen = Seen()
    ahead = Precomputing(project.database, preparing, Events(), seen.watch)
    ahead.wait()
    return ahead, seen.told


class Seen:
    """Watches."""

    def __init__(self):
        self.told = []
        self.name = ""

    @contextmanager
    def watch(self, total):
        yield self

    def start(self, name):
        self.name = name

    def finish(self, what, *, failed=False):
        self.told.append(f"{'failed ' if failed else ''}{self.name}: {what}")

    def note(self, line):
        self.told.append(line)


def app_sha(project, image_id):
    from samkit.annotate.indexing import image_of

    with project.database.read() as session:
        return image_of(session, image_id).sha256
