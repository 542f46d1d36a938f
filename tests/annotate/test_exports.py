"""Snapshots and exports: immutable, reproducible, readable by others."""

import io
import json
import time
import zipfile

import numpy as np
import pytest
from pycocotools.coco import COCO

from samkit.annotate.events import Events
from samkit.annotate.jobs import Jobs
from samkit.annotate.snapshots import write_snapshot
from samkit.annotate.tables import Job
from samkit.datasets.formats import FORMATS
from samkit.datasets.store import StoreReader
from samkit.errors import UsageError
from samkit.masks import rle

pytestmark = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def labelled(server, operation, value):
    """Two images submitted with three masks, one with a mask in progress."""
    for number, image in enumerate(server.images()):
        size = (image["height"], image["width"])
        for mask in range(1 if number else 2):
            point = {"kind": "point", "x": 3, "y": 4, "label": 1}
            sent = value(size, 10 * number + mask, prompts=[point], predicted_iou=0.5)
            server.send(image, operation(f"m{number}{mask}", 0, sent))
        if number < 2:
            server.change(image, "submit", seconds=4)
    return server


def wait(server, job):
    for _ in range(10_000):
        state = server.get(f"/api/jobs/{job}")
        if state["state"] in ("done", "failed"):
            return state
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_a_snapshot_is_a_store_with_what_was_submitted(labelled, project):
    snapshot = write_snapshot(project)
    assert (snapshot.images, snapshot.masks) == (2, 3)
    reader = StoreReader(snapshot.folder)
    pairs = {pair.name: pair for pair in reader}
    assert (sorted(pairs), reader.broken) == (["0", "1"], [])
    pair = pairs["0"]
    document = labelled.get(f"/api/images/{labelled.images()[0]['id']}")
    for record, instance in zip(pair.records, document["instances"], strict=True):
        assert record["segmentation"] == instance["rle"]
        assert record["area"] == rle.area(instance["rle"])
        assert (record["predicted_iou"], record["point_coords"]) == (0.5, [[3, 4]])
        own = record["samkit"]
        assert (own["id"], own["labels"], own["seconds"]) == (instance["id"], ["cat"], 1.5)
        assert (own["editor"], own["stage"]) == (instance["editor"], "manual")
    assert pair.image().shape == (40, 60, 3)
    assert len({r["id"] for pair in pairs.values() for r in pair.records}) == 3


def test_the_same_content_has_the_same_hash_and_other_content_another(labelled, project):
    first = write_snapshot(project)
    before = (first.folder / "0.json").stat()
    assert write_snapshot(project).hash == first.hash
    assert (first.folder / "0.json").stat().st_mtime_ns == before.st_mtime_ns
    image = labelled.images()[0]
    labelled.put(image, "m00", base=1, seed=77)
    second = write_snapshot(project)
    assert second.hash != first.hash and first.folder.exists()
    labelled.put(image, "m00", base=2, seed=77)
    assert write_snapshot(project).hash == second.hash
    assert not list(project.snapshots.glob(".samkit*"))


def test_a_project_with_nothing_done_says_so(server, project):
    with pytest.raises(UsageError, match="nothing to write"):
        write_snapshot(project)
    job = wait(server, server.post("/api/exports", {"format": "coco"})["job"])
    assert job["state"] == "failed" and "nothing to write" in job["error"]


def test_coco_loads_in_pycocotools(labelled, tmp_path):
    job = wait(labelled, labelled.post("/api/exports", {"format": "coco"})["job"])
    assert job["state"] == "done", job
    assert (job["result"]["images"], job["result"]["masks"]) == (2, 3)
    data = labelled.http.get(job["result"]["file"]).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        archive.extract("instances.json", tmp_path)
    coco = COCO(tmp_path / "instances.json")
    assert (len(coco.imgs), len(coco.anns)) == (2, 3)
    for annotation in coco.anns.values():
        own = rle.decode(annotation["segmentation"])
        assert np.array_equal(coco.annToMask(annotation).astype(bool), own)


def test_every_format_that_is_known_can_be_exported(labelled):
    for format in FORMATS:
        job = wait(labelled, labelled.post("/api/exports", {"format": format})["job"])
        assert job["state"] == "done", (format, job)
        data = labelled.http.get(job["result"]["file"]).content
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.namelist(), format


def test_what_is_not_there_is_not_found(labelled, project):
    labelled.post("/api/exports", {"format": "../x"}, status=400)
    assert labelled.http.get("/api/exports/nothing/file").status_code == 404
    assert labelled.http.get("/api/jobs/nothing").status_code == 404


def test_the_file_of_a_snapshot_says_what_is_in_it(labelled, project):
    snapshot = write_snapshot(project)
    listed = json.loads((snapshot.folder / ".snapshot.json").read_text())
    assert set(listed) == {"0.json", "0.png", "1.json", "1.png"}


def test_a_job_that_an_earlier_server_left_is_failed_and_another_project_s_is_not(server, project):
    with project.database.write() as session:
        for name, owner in (("mine", project.id), ("theirs", "another")):
            session.add(
                Job(
                    id=name,
                    project=owner,
                    kind="export",
                    state="running",
                    wanted={},
                    editor="a",
                    at=0.0,
                )
            )
    Jobs(project, Events()).close()
    assert server.get("/api/jobs/mine")["state"] == "failed"
    assert server.get("/api/jobs/theirs")["state"] == "running"
