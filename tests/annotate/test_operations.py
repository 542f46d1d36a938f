"""Changes of masks: idempotent, versioned, nothing lost."""

import random
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from samkit.annotate import schemas
from samkit.annotate.access import Person
from samkit.annotate.operations import apply
from samkit.annotate.tables import Operation

pytestmark = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def log_of(server: Any) -> list[Operation]:
    with server.app.services.project.database.read() as session:
        return list(session.scalars(select(Operation).order_by(Operation.number)))


def test_a_mask_is_stored_as_it_was_sent(server, operation, value):
    image = server.images()[0]
    sent = value((40, 60), 3, prompts=[{"kind": "point", "x": 1.5, "y": 2}], predicted_iou=0.75)
    answer = server.send(image, operation("a", 0, sent))
    assert [(r["status"], r["version"]) for r in answer["results"]] == [("accepted", 1)]
    (instance,) = server.get(f"/api/images/{image['id']}")["instances"]
    assert instance["rle"] == sent["rle"]
    assert (instance["id"], instance["version"], instance["labels"]) == ("a", 1, ["cat"])
    assert (instance["stage"], instance["predicted_iou"], instance["seconds"]) == (
        "manual",
        0.75,
        1.5,
    )
    assert instance["prompts"] == [{"kind": "point", "x": 1.5, "y": 2}]
    (listed,) = [i for i in server.images() if i["id"] == image["id"]]
    assert (listed["state"], listed["instances"], listed["version"]) == ("in_progress", 1, 1 + 0)


def test_sending_again_changes_nothing(server, operation, value):
    image = server.images()[0]
    put = operation("a", 0, value((40, 60)))
    first = server.send(image, put)
    again = server.send(image, put, put)
    assert [r["status"] for r in again["results"]] == ["duplicate", "duplicate"]
    assert again["version"] == first["version"]
    assert len(log_of(server)) == 1


def test_an_id_that_was_used_for_another_change_is_refused(server, operation, value):
    image = server.images()[0]
    server.send(image, operation("a", 0, value((40, 60), 1), "same"))
    server.send(image, operation("a", 1, value((40, 60), 2), "same"), status=422)
    assert len(log_of(server)) == 1


def test_a_stale_change_is_kept_beside_what_stands(server, operation, value):
    image = server.images()[0]
    server.send(image, operation("a", 0, value((40, 60), 1)))
    server.send(image, operation("a", 1, value((40, 60), 2)))
    stale = operation("a", 1, value((40, 60), 3))
    answer = server.send(image, stale, operation("b", 0, value((40, 60), 4)), status=409)
    kept, other = answer["results"]
    assert (kept["status"], kept["kept"], kept["version"]) == ("conflict", True, 2)
    assert kept["current"]["rle"] == value((40, 60), 2)["rle"]
    assert other["status"] == "accepted"
    (conflict,) = server.get(f"/api/images/{image['id']}/conflicts")
    assert conflict["sent"]["rle"] == stale["value"]["rle"]
    assert conflict["current"]["rle"] == value((40, 60), 2)["rle"]
    assert conflict["open"]
    again = server.send(image, stale, status=409)["results"][0]
    assert again == kept
    server.send(image, operation("a", 2, value((40, 60), 3)))
    (conflict,) = server.get(f"/api/images/{image['id']}/conflicts")
    assert not conflict["open"]


def test_a_deleted_mask_goes_on_counting_its_versions(server, operation, value):
    image = server.images()[0]
    server.send(image, operation("a", 0, value((40, 60), 1)))
    server.send(image, operation("a", 1, None))
    assert server.get(f"/api/images/{image['id']}")["instances"] == []
    late = server.send(image, operation("a", 1, value((40, 60), 2)), status=409)["results"][0]
    assert late["current"] is None
    server.send(image, operation("a", 2, value((40, 60), 2)))
    (instance,) = server.get(f"/api/images/{image['id']}")["instances"]
    assert instance["version"] == 3


def test_two_annotators_in_any_order_lose_nothing(server, operation, value):
    """200 interleavings: accepted + conflicts = sent, and what stands was sent on what was seen."""
    image = server.images()[0]
    database, chance = server.app.services.project.database, random.Random(0)
    people = {name: Person(name, name, "annotator") for name in ("ann", "bob")}
    sent = accepted = conflicts = 0
    for turn in range(200):
        seen = dict.fromkeys(people, 0)
        order = [*people, *people]
        chance.shuffle(order)
        order.pop()
        version, labels = 0, None
        for place, who in enumerate(order):
            if chance.random() < 0.4:
                seen[who] = version
            new = value((40, 60), place, labels=[f"{who} {turn} {place}"])
            put = schemas.Operation(**operation(f"i{turn}", seen[who], new))
            with database.write() as session:
                _, (result,) = apply(session, image["id"], people[who], who, [put])
            sent += 1
            if result["status"] == "accepted":
                accepted += 1
                assert seen[who] == version
                version, labels = result["version"], new["labels"]
                seen[who] = version
            else:
                conflicts += 1
                assert seen[who] != version
                assert result["current"]["labels"] == labels
    document = server.get(f"/api/images/{image['id']}")
    assert len(document["instances"]) == 200
    log = log_of(server)
    assert accepted + conflicts == sent == len(log)
    assert sum(row.status == "conflict" for row in log) == conflicts > 50
    assert len({row.value["labels"][0] for row in log}) == sent
    last = {row.instance_id: row.value for row in log if row.status == "accepted"}
    assert {i["id"]: i["labels"] for i in document["instances"]} == {
        name: sent["labels"] for name, sent in last.items()
    }


@pytest.mark.parametrize("table", ["operations", "transitions"])
@pytest.mark.parametrize("change", ["UPDATE {} SET editor = 'x'", "DELETE FROM {}"])
def test_the_database_itself_refuses_to_change_a_log(server, table, change):
    server.put(server.images()[0], "a")
    with (
        pytest.raises(DatabaseError, match="only grows"),
        server.app.services.project.database.write() as session,
    ):
        session.execute(text(change.format(table)))
