"""Imports: masks of other datasets find their images, come in once, and overwrite nobody's work."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from samkit.annotate.access import owner_of
from samkit.annotate.importing import import_dataset, open_for
from samkit.annotate.indexing import index
from samkit.annotate.snapshots import write_snapshot
from samkit.datasets.records import from_mask
from samkit.datasets.store import StoreReader, StoreWriter
from samkit.errors import UsageError
from samkit.masks import rle

pytestmark = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def record(size, number, label="cat", **fields):
    """A rectangle that each number has for itself."""
    mask = np.zeros(size, bool)
    mask[number : number + 9, 2 * number : 2 * number + 11] = True
    return from_mask(mask, number, samkit={"labels": [label], **fields.pop("samkit", {})}, **fields)


@pytest.fixture
def store(tmp_path, photographs):
    """A store of the photographs 0 and 1, with two masks and one."""
    folder = tmp_path / "store"
    scores = {"predicted_iou": 0.75, "stability_score": 0.5, "point_coords": [[3.0, 4.0]]}
    with StoreWriter(folder) as writer:
        for name, numbers in (("0", (1, 2)), ("1", (3,))):
            path = photographs / f"{name}.png"
            size = Image.open(path).size[::-1]
            writer.write(path, [record(size, n, **scores) for n in numbers], size=size)
    return folder


def bring(project, path, stage="imported", images=None):
    reader = open_for(project.database, path, images)
    return import_dataset(project.database, reader, owner_of(project), stage)


def instances(server, number):
    return server.get(f"/api/images/{server.images()[number]['id']}")["instances"]


def test_masks_come_in_with_labels_scores_and_stage(server, project, store):
    result = bring(project, store)
    assert (result.images, result.masks, result.known) == (2, 3, 0)
    assert (result.unmatched, result.broken) == ([], {})
    assert [image["instances"] for image in server.images()] == [2, 1, 0]
    assert [image["state"] for image in server.images()][:2] == ["in_progress"] * 2
    pairs = {pair.name: pair for pair in StoreReader(store)}
    for made, wanted in zip(instances(server, 0), pairs["0"].records, strict=True):
        assert made["rle"] == wanted["segmentation"]
        assert (made["labels"], made["stage"]) == (["cat"], "imported")
        assert made["predicted_iou"] == 0.75
        assert made["prompts"] == [{"kind": "point", "x": 3, "y": 4, "label": 1}]
        assert (made["version"], made["editor"]) == (1, owner_of(project).name)


def test_what_the_masks_said_leaves_with_them_again(server, project, store):
    bring(project, store)
    server.change(server.images()[0], "submit")
    (pair,) = StoreReader(write_snapshot(project).folder)
    before = StoreReader(store)["0"].records
    keys = ("segmentation", "bbox", "area", "predicted_iou", "stability_score", "point_coords")
    for left, came in zip(pair.records, before, strict=True):
        assert {key: left[key] for key in keys} == {key: came[key] for key in keys}
        assert left["samkit"]["labels"] == came["samkit"]["labels"]


def test_the_same_import_again_changes_nothing(server, project, store):
    bring(project, store)
    before = [server.get(f"/api/images/{image['id']}") for image in server.images()]
    for stage in ("imported", "suggested"):
        result = bring(project, store, stage)
        assert (result.images, result.masks, result.known) == (2, 0, 3)
    assert [server.get(f"/api/images/{image['id']}") for image in server.images()] == before


def test_what_a_person_changed_or_deleted_stays_so(server, project, store, operation, value):
    bring(project, store)
    image = server.images()[0]
    first, second = instances(server, 0)
    drawn = value((image["height"], image["width"]), 5)
    server.send(image, operation(first["id"], 1, drawn), operation(second["id"], 1, None))
    server.send(image, operation("own", 0, value((image["height"], image["width"]), 8)))
    before = instances(server, 0)
    assert (bring(project, store).masks, instances(server, 0)) == (0, before)


def test_a_project_takes_its_own_snapshot_as_known(server, project, operation, value):
    image = server.images()[1]
    server.put(image, "m", seed=3)
    server.change(image, "submit")
    result = bring(project, write_snapshot(project).folder)
    assert (result.images, result.masks, result.known) == (1, 0, 1)


def test_suggestions_have_their_confidence(server, project, store):
    bring(project, store, "suggested")
    found = [*instances(server, 0), *instances(server, 1)]
    assert {(made["stage"], made["predicted_iou"]) for made in found} == {("suggested", 0.75)}


def test_an_image_of_other_bytes_is_found_by_its_name(server, project, store):
    again = Image.open(store / "1.png").convert("RGB").point(lambda v: v // 2)
    again.save(store / "1.png")
    assert (bring(project, store).images, len(instances(server, 1))) == (2, 1)


@pytest.fixture
def coco(tmp_path):
    """Writes COCO's JSON, with a box on each image of given (file name, path)."""

    def write(**photographs):
        images = [
            {"id": number, "file_name": name, **dict(zip(("width", "height"), size, strict=True))}
            for number, (name, path) in enumerate(photographs.items(), 7)
            for size in [Image.open(path).size]
        ]
        square = [[4, 4, 20, 4, 20, 30, 4, 30]]
        boxes = [
            {"id": k, "image_id": image["id"], "category_id": 3, "segmentation": square}
            for k, image in enumerate(images)
        ]
        document = {
            "images": images,
            "categories": [{"id": 3, "name": "box"}],
            "annotations": boxes,
        }
        file = tmp_path / "coco" / "instances.json"
        file.parent.mkdir()
        file.write_text(json.dumps(document))
        return file

    return write


def in_folders(project, photographs, **folders):
    """Other photographs of the project, each a turned one of the first three, in a folder."""
    for place, (number, angle) in folders.items():
        path = photographs / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(photographs / f"{number}.png").rotate(angle, expand=True).save(path)
    index(project.database, [photographs])


def test_coco_without_images_takes_those_of_the_project(server, project, photographs, coco):
    assert bring(project, coco(**{"2.png": photographs / "2.png"})).masks == 1
    (made,) = instances(server, 2)
    assert (made["labels"], rle.area(made["rle"])) == (["box"], 16 * 26)
    assert made["predicted_iou"] is None  # nobody measured


def test_images_without_which_a_dataset_came_may_lie_in_several_folders(
    server, project, photographs, coco
):
    places = {"x/a.png": (0, 90), "y/b.png": (0, 180), "y/deep/c.png": (0, 270)}
    in_folders(project, photographs, **places)
    names = ("2.png", "x/a.png", "y/b.png", "y/deep/c.png")
    wanted = {name: photographs / name for name in ("2.png", "x/a.png")}  # as they lie
    wanted |= {"b.png": photographs / "y/b.png", "deep/c.png": photographs / "y/deep/c.png"}
    reader = open_for(project.database, coco(**wanted, **{"d.png": photographs / "0.png"}))
    assert len(reader) == 5
    result = import_dataset(project.database, reader, owner_of(project))
    assert (result.images, result.masks, list(result.broken)) == (4, 4, ["d"])
    made = {image["name"]: image["instances"] for image in server.images()}
    assert made == {"0.png": 0, "1.png": 0, **dict.fromkeys([n.split("/")[-1] for n in names], 1)}


def test_labels_without_images_find_theirs_in_several_folders_too(
    server, project, photographs, tmp_path
):
    in_folders(project, photographs, **{"x/a.png": (0, 90), "y/b.png": (0, 180)})
    labels = tmp_path / "yolo" / "labels"
    labels.mkdir(parents=True)
    (tmp_path / "yolo" / "images").mkdir()
    for name in ("a", "b", "c"):
        (labels / f"{name}.txt").write_text("0 0.1 0.1 0.6 0.1 0.6 0.6\n")
    result = bring(project, tmp_path / "yolo")
    assert (result.masks, list(result.broken)) == (2, ["c"])
    assert [image["instances"] for image in server.images()] == [0, 0, 0, 1, 1]


def test_of_two_images_of_one_name_none_is_guessed(server, project, photographs, coco):
    in_folders(project, photographs, **{"x/a.png": (0, 90), "y/a.png": (0, 270)})
    in_folders(project, photographs, **{"y/b.png": (0, 180)})
    file = coco(**{"a.png": photographs / "x/a.png", "b.png": photographs / "y/b.png"})
    result = bring(project, file)
    assert (result.masks, list(result.broken)) == (1, ["a"])
    assert "2 images of the project" in result.broken["a"]


def test_two_images_of_one_name_are_told_apart_by_folder_or_not_at_all(
    server, project, photographs, store
):
    other = photographs / "other"
    other.mkdir()
    Image.open(photographs / "2.png").rotate(90).resize((50, 30)).save(other / "1.png")
    index(project.database, [photographs])
    assert bring(project, store).broken == {}  # the content tells
    Image.open(store / "1.png").point(lambda v: v // 2).save(store / "1.png")
    result = bring(project, store)
    assert list(result.broken) == ["1"] and "2 images of the project" in result.broken["1"]
    (store / "other").mkdir()
    for name in ("1.png", "1.json"):
        shutil.move(store / name, store / "other" / name)
    assert bring(project, store).broken == {}
    assert [image["instances"] for image in server.images()] == [2, 1, 0, 1]


def test_what_does_not_fit_is_named_and_the_rest_comes_in(server, project, store):
    document = json.loads((store / "0.json").read_text())
    document["annotations"][0]["samkit"]["labels"] = ["x" * 500]
    (store / "0.json").write_text(json.dumps(document))
    small = Image.open(store / "1.png").resize((20, 20))
    small.save(store / "1.png")
    (store / "1.json").unlink()
    (store / "strange.json").unlink(missing_ok=True)
    with StoreWriter(store) as writer:
        writer.write(store / "1.png", [record((20, 20), 1)], size=(20, 20))
        writer.write(np.zeros((20, 20, 3), np.uint8), [record((20, 20), 1)], name="strange")
    result = bring(project, store)
    assert (result.images, result.masks, result.unmatched) == (2, 1, ["strange"])
    assert sorted(result.broken) == ["0 record 1", "1"]
    assert "labels" in result.broken["0 record 1"]
    assert "20 x 20" in result.broken["1"] and "50 x 30" in result.broken["1"]


def test_an_accepted_image_takes_no_new_masks(server, project, store):
    image = server.images()[1]
    server.put(image, "m")
    server.change(image, "submit")
    server.change(image, "review", decision="accept")
    result = bring(project, store)
    assert "accepted" in result.broken["1"]
    assert len(instances(server, 1)) == 1


def test_a_dataset_of_other_images_is_refused_in_a_sentence(project, tmp_path):
    with StoreWriter(tmp_path / "else") as writer:
        writer.write(np.zeros((20, 20, 3), np.uint8), [record((20, 20), 1)], name="strange")
    with pytest.raises(UsageError, match="none of the 1 images"):
        bring(project, tmp_path / "else")
    with pytest.raises(UsageError, match="no file or folder"):
        bring(project, tmp_path / "nowhere")
