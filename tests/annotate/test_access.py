"""Who is let in: every route of the application's own list, and all that must be refused."""

import re
import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from PIL import Image
from sqlalchemy import text
from starlette.testclient import TestClient

from samkit.annotate.access import add_person, is_loopback, new_token, owner_of
from samkit.annotate.app import create_app
from samkit.annotate.gate import SECURITY_HEADERS
from samkit.annotate.indexing import index
from samkit.annotate.queueing import Held, Queue
from samkit.annotate.refusals import NotUsable
from samkit.annotate.tables import Base

IN_NAMES = '"><img src=x onerror=alert(1)>'
SCRIPT = f"{IN_NAMES}\r\nX-Evil: 1"
HOST = "127.0.0.1:8000"
both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
PUBLIC = {"/", "/favicon.ico", "/assets/{name}"}
FOREIGN = ("evil.example", "127.0.0.1", "127.0.0.1:8001", "127.0.0.1.evil.example:8000", "")
STRANGE = ("http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1", "")
BODIES = {
    "application/x-www-form-urlencoded": b"client=a&seconds=1",
    "multipart/form-data; boundary=x": b"--x\r\n\r\n--x--",
    "text/plain": b'{"seconds": 1, "decision": "accept", "format": "coco"}',
    "text/plain, application/json": b"{}",
    "application/xml": b"<a/>",
    "": b'{"seconds": 1}',
}
TRAVERSALS = sorted(
    {
        pattern.format(step * depth, target)
        for step in ("../", "..%2f", "%2e%2e/", "..\\", "..%5c", "%252e%252e%252f", "....//")
        for depth in (1, 3, 8)
        for target in ("etc/passwd", "project.json", "project.sqlite")
        for pattern in ("{}{}", "/{}{}", "x/{}{}", "{}{}%00.png")
    }
)[:200]


def routes_of(server: Any) -> list[tuple[str, str]]:
    """(method, path) of everything that the application answers."""
    return sorted(
        (method, route.path) for route in _flat(server.app.api.routes) for method in route.methods
    )


def _flat(routes: Any) -> list[APIRoute]:
    found = []
    for route in routes:
        if isinstance(route, APIRoute):
            found.append(route)
        elif hasattr(route, "original_router"):
            found += _flat(route.original_router.routes)
        else:
            raise AssertionError(f"an unknown kind of route: {route!r}")
    return found


def filled(path: str, image: str) -> str:
    return path.replace("{image_id}", image).replace("{", "").replace("}", "")


def rows(server: Any) -> dict[str, Any]:
    with server.app.services.project.database.read() as session:
        return {
            table: session.execute(text(f"SELECT * FROM {table} ORDER BY 1")).all()
            for table in Base.metadata.tables
        }


def stranger(server: Any, **headers: str) -> TestClient:
    client = TestClient(server.app, f"http://{HOST}", raise_server_exceptions=False)
    client.headers.update(headers)
    return client


def test_the_list_of_routes_is_the_whole_contract(server):
    found = {f"{method} {path}" for method, path in routes_of(server)}
    assert len(found) == 26
    assert {"POST /api/images/{image_id}/operations", "GET /openapi.json", "GET /docs"} <= found
    assert {method for method, _ in routes_of(server)} == {"GET", "POST"}


def test_every_route_but_the_page_wants_the_token(server):
    image, before = server.images()[0]["id"], rows(server)
    tokens = ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {new_token()}"})
    tokens += ({"Authorization": "Basic YTph"}, {"Authorization": "Bearer " + "x" * 10_000})
    for headers in tokens:
        client = stranger(server, **headers)
        for method, path in routes_of(server):
            answer = client.request(method, filled(path, image), json={"seconds": 1})
            assert (answer.status_code == 401) == (path not in PUBLIC), (path, headers)
    right = server.http.headers["Authorization"].split()[1]
    inside = server.http.get(f"/api/project?token={right}", headers={"Authorization": ""})
    assert inside.status_code == 401
    assert rows(server) == before


def test_a_database_that_is_gone_lets_nobody_in(server):
    with server.app.services.project.database.write() as session:
        session.execute(text("ALTER TABLE users RENAME TO gone"))
    answer = stranger(server, Authorization=f"Bearer {new_token()}").get("/api/project")
    assert answer.status_code == 503 and answer.json()["error"].endswith("try again.")


@pytest.mark.parametrize("host", FOREIGN)
def test_every_route_refuses_a_foreign_host(server, host):
    image, before = server.images()[0]["id"], rows(server)
    for method, path in routes_of(server):
        body = {"json": {"seconds": 1}} if method == "POST" else {}
        answer = server.http.request(method, filled(path, image), headers={"host": host}, **body)
        assert answer.status_code == 403, path
    assert rows(server) == before


@pytest.mark.parametrize("origin", STRANGE)
def test_every_route_refuses_a_foreign_origin(server, origin):
    image, before = server.images()[0]["id"], rows(server)
    for method, path in routes_of(server):
        body = {"json": {"seconds": 1}} if method == "POST" else {}
        headers = {"origin": origin}
        answer = server.http.request(method, filled(path, image), headers=headers, **body)
        assert answer.status_code == 403, path
        assert "access-control-allow-origin" not in answer.headers
    assert rows(server) == before


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_it_comes_from_elsewhere_gets_no_further_than_the_page(server, site):
    image = server.images()[0]["id"]
    for method, path in routes_of(server):
        if path not in PUBLIC:
            headers = {"sec-fetch-site": site}
            answer = server.http.request(method, filled(path, image), headers=headers)
            assert answer.status_code == 403, path


def test_its_own_origin_is_welcome(server):
    image = server.images()[0]["id"]
    headers = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    sent = {"op": "a", "base": 0}
    answer = server.http.post(f"/api/images/{image}/submit", json=sent, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", BODIES)
def test_every_change_refuses_bodies_that_a_form_can_send(server, kind):
    image, before = server.images()[0]["id"], rows(server)
    for method, path in routes_of(server):
        if method == "POST":
            headers = {"content-type": kind} if kind else {}
            answer = server.http.post(filled(path, image), content=BODIES[kind], headers=headers)
            assert answer.status_code == 415, path
    assert rows(server) == before


def test_reading_changes_nothing(server):
    image = server.images()[0]["id"]
    server.put(server.images()[0], "a")
    before = rows(server)
    for method, path in routes_of(server):
        if method == "GET" and "events" not in path:
            server.http.get(filled(path, image))
    assert rows(server) == before


def test_other_methods_are_refused(server):
    for method in ("TRACE", "CONNECT", "OPTIONS", "PROPFIND"):
        assert server.http.request(method, "/api/project").status_code == 405
    for method in ("PUT", "DELETE", "PATCH"):
        assert server.http.request(method, "/api/project").status_code == 405


def test_every_answer_has_the_security_headers(server):
    answers = [
        server.http.get("/"),
        server.http.get("/api/project"),
        server.http.get("/nothing"),
        server.http.get("/assets/nothing.js"),
        server.http.get("/api/images/nothing"),
        server.http.post("/api/images/nothing/submit", content=b"{"),
        stranger(server).get("/api/project"),
        server.http.get("/", headers={"host": "evil"}),
    ]
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers.get_list(name) == [value], (answer.url, name)
    policy = SECURITY_HEADERS["content-security-policy"]
    assert "'unsafe-eval'" not in policy and "'unsafe-inline'" not in policy
    assert "'wasm-unsafe-eval'" in policy


def test_no_payload_leads_out_of_the_project(server, project, asking):
    assert len(TRAVERSALS) == 200
    secret = (project.folder / "project.json").read_bytes()
    taking = [(method, path) for method, path in routes_of(server) if "{" in path]
    assert len(taking) == 15
    before = rows(server)
    wanted = [
        (method, re.sub(r"\{\w+\}", payload.replace("\\", "\\\\"), path))
        for method, path in taking
        for payload in TRAVERSALS
    ]
    for (_, path), (status, _, body) in zip(wanted, asking(server.app, wanted), strict=True):
        assert status in (400, 404, 405, 422), (path, status, body)
        assert secret not in body and b"root:" not in body
        assert str(project.folder).encode() not in body
    assert rows(server) == before


def test_what_people_wrote_comes_back_as_json_and_nothing_else(
    server, project, photographs, operation, value
):
    """In every text field: file name, person, label, model, prompts, source, reason, comment."""
    Image.new("RGB", (16, 16), "red").save(photographs / f"{IN_NAMES}.png")
    index(project.database, [photographs])
    other, *_, image = server.images()
    assert image["name"] == f"{IN_NAMES}.png"
    path = f"/api/images/{image['id']}"
    eve = server.as_person(SCRIPT, "reviewer")
    texts = {"prompts": [{"text": SCRIPT}], "model": SCRIPT, "source": {"text": SCRIPT}}
    sent = value((16, 16), labels=[SCRIPT], **texts)
    eve.send(image, operation("a", 0, sent))
    eve.send(image, operation("a", 0, sent), status=409)
    eve.change(image, "submit")
    eve.change(image, "review", decision="reject", comment=SCRIPT)
    eve.change(other, "skip", reason=SCRIPT)
    eve.change(image, "submit")
    eve.post(f"{path}/lease", {})
    job = eve.post("/api/exports", {"format": "coco"})["job"]
    while (state := server.get(f"/api/jobs/{job}"))["state"] in ("waiting", "running"):
        time.sleep(0.02)
    assert state["error"] is None, state["error"]
    gets = [filled(route, image["id"]) for method, route in routes_of(server) if method == "GET"]
    gets += [
        f"/api/jobs/{job}",
        state["result"]["file"],
        f"/api/images?state={quote('<b>alert(1)')}",
    ]
    answers = [eve.http.get(path) for path in gets if "events" not in path]
    answers += [
        server.http.post(path, json=body)
        for path, body in (
            ("/api/users", {"name": SCRIPT, "role": "admin"}),
            (f"{path}/lease", {}),
            (f"{path}/submit", {"op": "a", "base": 0}),
            ("/api/exports", {"format": SCRIPT[:40]}),
        )
    ]
    answers.append(eve.http.post("/api/users", json={"name": "x", "role": "admin"}))
    shown = 0
    for answer in answers:
        kind = answer.headers["content-type"]
        if kind.startswith("text/html"):
            assert answer.url.path in ("/", "/docs")
        if "alert" in answer.text:
            assert kind in ("application/json", "application/zip"), answer.url
        assert "alert" not in str(answer.headers) and "x-evil" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        shown += "alert" in answer.text
    assert shown == 12


def test_docs_are_ours_and_hold_no_script(server):
    docs = server.http.get("/docs").text
    assert "POST /api/images/{image_id}/operations" in docs
    assert not re.search(r"<script|src=|https?://", docs)
    assert "/api/queue/next" in server.get("/openapi.json")["paths"]


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) * 6 >= 128


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost", "LocalHost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.2", "example.com", "", "0")),
        ("127.0.0.1.x", False),
    ],
)
def test_what_other_machines_reach_is_known(host, own):
    assert is_loopback(host) is own


def test_behind_tls_only_the_name_and_its_https_pages_are_welcome(project):
    hosts = ["cats.example", "cats.example:8000"]
    app = create_app(project, None, token="t" * 43, hosts=hosts, scheme="https")
    client = TestClient(app, headers={"Authorization": "Bearer " + "t" * 43})

    def ask(host: str, **headers: str) -> int:
        return client.get("/api/project", headers={"host": host, **headers}).status_code

    assert ask("cats.example") == ask("cats.example:8000") == 200
    assert ask("cats.example", origin="https://cats.example") == 200
    for host in (HOST, "localhost:8000", "10.0.0.1:8000", "x.cats.example", *FOREIGN):
        assert ask(host) == 403, host
    for origin in ("http://cats.example", "https://cats.example.evil", "https://evil", "null"):
        assert ask("cats.example", origin=origin) == 403, origin


@both
def test_people_of_two_projects_who_share_a_name_and_a_database_are_two(project):
    twin = replace(project, id="another")
    first, second = owner_of(project), owner_of(twin)
    assert first.id != second.id
    assert second.name == f"{first.name} 2"
    assert (owner_of(project), owner_of(twin)) == (first, second)
    queue = Queue(project.database)
    taken = queue.next(first)
    assert queue.next(second).image_id != taken.image_id
    assert queue.take(taken.image_id, second) == Held(first.name)


def test_whoever_started_it_before_names_had_projects_is_still_the_same(project):
    first = owner_of(project)
    with project.database.write() as session:
        session.execute(text("UPDATE users SET starter = NULL"))
    assert owner_of(project) == first


def test_an_account_with_the_starter_s_name_is_somebody_else(project, monkeypatch):
    add_person(project.database, "ann", "annotator")
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert owner_of(project).name == "ann 2"


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\0b", "\udcff"])
def test_what_is_no_name_is_refused(project, name):
    with pytest.raises(NotUsable):
        add_person(project.database, name, "annotator")
