"""Who is let in: every route of the application's own list, and all that must be refused."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text
from starlette.testclient import TestClient

from samkit.annotate.access import new_token, require_loopback
from samkit.annotate.gate import SECURITY_HEADERS
from samkit.annotate.tables import Base
from samkit.errors import UsageError

HOST = "127.0.0.1:8000"
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


def test_what_people_wrote_comes_back_as_json_and_nothing_else(server, operation, value):
    script = "<script>alert(1)</script>"
    image = server.images()[0]
    sent = value((40, 60), labels=[script], prompts=[{"text": script}], model=script)
    server.send(image, operation("a", 0, sent))
    answer = server.http.get(f"/api/images/{image['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert script in answer.json()["instances"][0]["labels"]
    assert "<script" not in server.http.get("/docs").text


def test_docs_are_ours_and_hold_no_script(server):
    docs = server.http.get("/docs").text
    assert "POST /api/images/{image_id}/operations" in docs
    assert not re.search(r"<script|src=|https?://", docs)
    assert "/api/queue/next" in server.get("/openapi.json")["paths"]


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) * 6 >= 128


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "127.0.0.1.x"])
def test_other_machines_are_never_served(host):
    with pytest.raises(UsageError, match="this machine only"):
        require_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_is(host):
    require_loopback(host)
