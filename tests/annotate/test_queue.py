"""The queue, its leases, and the states of an image."""

import threading

import pytest

from samkit.annotate.queueing import Held, Queue, upcoming
from samkit.annotate.refusals import NotFound

pytestmark = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def people(server):
    return server.as_person("ann", "annotator"), server.as_person("rita", "reviewer")


def state_of(server, image):
    return next(i["state"] for i in server.images() if i["id"] == image["id"])


def test_nobody_gets_an_image_that_somebody_has(server):
    given = [server.post("/api/queue/next", {})["image"] for _ in range(3)]
    assert given == [image["id"] for image in server.images()]
    server.post("/api/queue/next", {}, status=204)


def test_at_the_same_moment_everybody_gets_another_image(server):
    database = server.app.services.project.database
    me = server.app.services.people.who("a-token-of-the-tests-that-nobody-else-has")
    taken, start = [], threading.Barrier(8)

    def take():
        queue = Queue(database)
        start.wait()
        taken.append(queue.next(me))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    images = [each.image_id for each in taken if each is not None]
    assert len(taken) == 8
    assert sorted(images) == sorted(image["id"] for image in server.images())


def test_the_search_begins_behind_an_image_and_goes_round(server):
    first, second, third = (image["id"] for image in server.images())
    assert server.post("/api/queue/next", {"after": second})["image"] == third
    assert server.post("/api/queue/next", {"after": third})["image"] == first
    server.post("/api/queue/next", {"after": "nothing"}, status=404)


def test_a_lease_runs_out_unless_it_is_renewed(server):
    now = [1000.0]
    database = server.app.services.project.database
    queue = Queue(database, seconds=60, clock=lambda: now[0])
    me = server.app.services.people.who("a-token-of-the-tests-that-nobody-else-has")
    first = queue.next(me)
    now[0] += 50
    assert queue.renew(first.lease_id, me) == 60
    now[0] += 50
    assert queue.next(me).image_id != first.image_id
    now[0] += 61
    assert queue.next(me).image_id == first.image_id
    with pytest.raises(NotFound, match="run out"):
        queue.renew(first.lease_id, me)


def test_a_lease_that_is_given_back_is_free_at_once(server):
    taken = server.post("/api/queue/next", {})
    path = f"/api/leases/{taken['lease']['id']}"
    assert server.post(f"{path}/renew", {})["expires_in"] > 60
    server.post(f"{path}/release", {})
    server.post(f"{path}/release", {})
    server.post(f"{path}/renew", {}, status=404)
    assert server.post("/api/queue/next", {})["image"] == taken["image"]


def test_a_lease_is_its_owner_s_alone(server, people):
    taken = server.post("/api/queue/next", {})
    path = f"/api/leases/{taken['lease']['id']}"
    people[0].post(f"{path}/renew", {}, status=404)
    people[0].post(f"{path}/release", {})
    assert server.post(f"{path}/renew", {})["expires_in"] > 60


def test_an_image_goes_through_its_states(server, people):
    ann, rita = people
    image = server.images()[0]
    path = f"/api/images/{image['id']}"
    assert state_of(server, image) == "unlabelled"
    ann.put(image, "a")
    assert state_of(server, image) == "in_progress"
    ann.change(image, "review", 403, decision="accept")
    rita.change(image, "review", 409, decision="accept")
    ann.change(image, "submit", seconds=3)
    ann.change(image, "submit", seconds=3)
    assert state_of(server, image) == "submitted"
    rita.change(image, "review", decision="reject", comment="the tail")
    assert server.get(path)["review"]["comment"] == "the tail"
    ann.put(image, "a", base=1)
    assert state_of(server, image) == "in_progress"
    ann.change(image, "submit", seconds=3)
    rita.change(image, "review", decision="accept")
    review = server.get(path)["review"]
    assert (review["decision"], review["by"]) == ("accept", "rita")
    ann.change(image, "submit", 409)
    ann.change(image, "skip", 409, reason="late")


def test_masks_that_changed_since_they_were_seen_are_not_accepted(server, people):
    ann, rita = people
    image = server.images()[0]
    path = f"/api/images/{image['id']}"
    ann.put(image, "a")
    ann.change(image, "submit")
    seen = rita.get(path)["version"]
    ann.put(image, "a", base=1, seed=5)
    after = rita.get(path)
    for what, fields in {
        "review": {"decision": "accept", "comment": "good"},
        "submit": {},
        "skip": {"reason": "blurred"},
    }.items():
        refused = rita.change(image, what, 409, base=seen, **fields)
        assert "has changed since you saw it" in refused["error"]
        assert refused["current"] == after == rita.get(path)
    rita.change(image, "review", 409, base=after["version"] + 1, decision="accept")
    rita.change(image, "review", base=after["version"], decision="accept")
    assert state_of(server, image) == "accepted"


def test_a_change_of_state_that_is_sent_again_changes_nothing_and_has_the_same_answer(
    server, people
):
    ann, rita = people
    image, other, _ = server.images()
    path = f"/api/images/{image['id']}"
    submitted = ann.change(image, "submit", op="one", base=0, seconds=3)
    assert submitted == {"state": "submitted", "version": 1}
    rejected = rita.change(image, "review", op="two", decision="reject", comment="the tail")
    before = server.get(path)
    assert ann.change(image, "submit", op="one", base=0, seconds=3) == submitted
    again = rita.change(image, "review", op="two", base=1, decision="reject", comment="the tail")
    assert again == rejected
    assert server.get(path) == before
    rita.change(image, "review", 422, op="two", decision="reject", comment="the head")
    rita.change(image, "review", 422, op="one", decision="accept")
    ann.change(other, "submit", 422, op="one")
    assert server.get(path) == before


def test_who_asks_for_a_state_says_what_they_saw_and_why(server):
    image = server.images()[0]
    path = f"/api/images/{image['id']}"
    server.post(f"{path}/submit", {}, status=422)
    server.post(f"{path}/submit", {"op": "a"}, status=422)
    server.post(f"{path}/submit", {"base": 0}, status=422)
    for reason in ("", " ", "\t\n\u00a0", None):
        server.change(image, "skip", 422, reason=reason)
    assert state_of(server, image) == "unlabelled"


def test_what_an_annotator_sends_to_an_accepted_image_is_kept_aside(server, people):
    ann, rita = people
    image = server.images()[0]
    path = f"/api/images/{image['id']}"
    ann.put(image, "a")
    ann.change(image, "submit")
    rita.change(image, "review", decision="accept")
    answer = ann.put(image, "a", base=1, seed=5, status=409)
    assert answer["results"][0]["kept"]
    assert state_of(server, image) == "accepted"
    assert len(server.get(f"{path}/conflicts")) == 1
    rita.put(image, "a", base=1, seed=6)
    assert state_of(server, image) == "in_progress"


def test_a_skipped_image_leaves_the_queue_until_it_is_changed(server):
    image = server.images()[0]
    server.change(image, "skip", reason=" blurred ", seconds=2)
    assert server.post("/api/queue/next", {})["image"] != image["id"]
    assert server.get("/api/project")["counts"]["skipped"] == 1
    assert [i["id"] for i in server.get("/api/images?state=skipped")["images"]] == [image["id"]]
    server.put(image, "a")
    assert state_of(server, image) == "in_progress"


def test_only_an_admin_adds_people_and_only_reviewers_export(server, people):
    ann, rita = people
    for person in people:
        person.post("/api/users", {"name": "eve", "role": "admin"}, status=403)
    ann.post("/api/exports", {"format": "coco"}, status=403)
    ann.post("/api/snapshots", {}, status=403)
    server.post("/api/users", {"name": "ann", "role": "admin"}, status=422)
    assert rita.get("/api/project")["me"] == {"name": "rita", "role": "reviewer"}


def test_the_list_comes_in_pages(server):
    ids = [image["id"] for image in server.images()]
    first = server.get("/api/images?limit=2")
    assert [i["id"] for i in first["images"]] == ids[:2]
    rest = server.get(f"/api/images?limit=2&after={first['next']}")
    assert ([i["id"] for i in rest["images"]], rest["next"]) == (ids[2:], None)


def test_what_comes_next_is_known_ahead(server):
    ids = [image["id"] for image in server.images()]
    with server.app.services.project.database.read() as session:
        assert upcoming(session, ids[0], 5) == ids[1:]


def test_who_opens_an_image_has_it_and_others_learn_the_name(server, people):
    ann, rita = people
    image = server.images()[1]["id"]
    mine = ann.post(f"/api/images/{image}/lease", {})
    assert mine["holder"] is None
    assert ann.post(f"/api/images/{image}/lease", {})["lease"] == mine["lease"]
    assert rita.post(f"/api/images/{image}/lease", {}) == {"lease": None, "holder": "ann"}
    given = [rita.post("/api/queue/next", {})["image"] for _ in range(2)]
    assert image not in given
    ann.post(f"/api/leases/{mine['lease']['id']}/release", {})
    assert rita.post(f"/api/images/{image}/lease", {})["lease"]
    rita.post("/api/images/nothing/lease", {}, status=404)


def test_an_image_is_taken_over_only_when_asked_and_its_holder_learns_of_it(server, people):
    ann, rita = people
    image = server.images()[0]["id"]
    old = ann.post(f"/api/images/{image}/lease", {})["lease"]["id"]
    new = rita.post(f"/api/images/{image}/lease", {"over": True})["lease"]["id"]
    ann.post(f"/api/leases/{old}/renew", {}, status=404)
    assert ann.post(f"/api/images/{image}/lease", {"over": False})["holder"] == "rita"
    rita.post(f"/api/leases/{new}/renew", {})


def test_an_image_whose_lease_ran_out_is_free_to_open(server, people):
    now = [1000.0]
    queue = Queue(server.app.services.project.database, seconds=60, clock=lambda: now[0])
    who = server.app.services.people.who
    ann, rita = (who(each.http.headers["authorization"].split()[1]) for each in people)
    image = server.images()[0]["id"]
    first = queue.take(image, ann)
    now[0] += 59
    assert queue.take(image, rita) == Held("ann")
    now[0] += 2
    assert queue.take(image, rita).lease_id != first.lease_id
