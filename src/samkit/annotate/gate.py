"""The gate in front of every route: what comes in is checked, and every answer gets its headers.

In this order: one Host, and ours; an Origin, if there is one, and ours; JSON as the only kind of
body, and not too large; a token, for all but the page itself.
"""

import json
from collections.abc import Iterable
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from samkit.annotate.access import People
from samkit.annotate.limits import MAX_BODY

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
        "style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""On every answer, errors included; the page's scripts and workers too, which need COEP."""

PUBLIC = ("/", "/favicon.ico", "/assets/")
"""Paths that need no token: the page, which holds no data."""

Scheme = Literal["http", "https"]
_CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
_METHODS = {"GET", "HEAD", *_CHANGES}
_TOO_LARGE = f"The request is larger than {MAX_BODY >> 20} MiB."


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self, app: ASGIApp, people: People, hosts: Iterable[str], scheme: Scheme = "http"
    ) -> None:
        """people: whose tokens are good. hosts: what `Host` may be, such as 127.0.0.1:8000.

        scheme: of the pages that may ask.
        """
        self._app = app
        self._people = people
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"{scheme}://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on; web sockets are not spoken."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        refusal = self._refusal(scope) or await self._stranger(scope)
        if refusal is not None:
            await answer(send, *refusal)
            return
        body = _Body(receive)
        if scope["method"] in _CHANGES and not await body.read():
            await answer(send, 413, _TOO_LARGE)
            return
        await self._app(scope, body.again, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 403, "This server does not go by that name; use the address it printed."
        if len(origins) > 1 or any(origin.lower() not in self._origins for origin in origins):
            return 403, "Other pages may not ask this server."
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not _is_public(scope["path"]):
            return 403, "Other pages may not ask this server."
        if scope["method"] not in _METHODS:
            return 405, "This method is not used here."
        return _body_refusal(headers) if scope["method"] in _CHANGES else None

    async def _stranger(self, scope: Scope) -> tuple[int, str] | None:
        """Finds out who asks; a refusal where nobody knows."""
        if _is_public(scope["path"]) and scope["method"] in ("GET", "HEAD"):
            return None
        sent = Headers(scope=scope).getlist("authorization")
        kind, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        if kind.lower() == "bearer" and token:
            try:
                person = await run_in_threadpool(self._people.who, token.strip())
            except SQLAlchemyError:
                return 503, "The database cannot be used just now; try again."
            if person is not None:
                scope.setdefault("state", {})["person"] = person
                return None
        return 401, "The token is missing or wrong; open the address that samkit annotate printed."


async def answer(send: Send, status: int, sentence: str) -> None:
    """Send an error as JSON."""
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith("/assets/")


def _body_refusal(headers: Headers) -> tuple[int, str] | None:
    length = headers.get("content-length", "0")
    empty = length == "0" and "transfer-encoding" not in headers
    kinds = headers.getlist("content-type")
    if (kinds or not empty) and [_essence(kind) for kind in kinds] != ["application/json"]:
        return 415, "Only application/json is taken."
    if "content-encoding" in headers:
        return 415, "Compressed requests are not taken."
    if not (length.isascii() and length.isdigit()):
        return 400, "The length of the request is no number."
    if len(length) > 12 or int(length) > MAX_BODY:
        return 413, _TOO_LARGE
    return None


def _essence(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


class _Body:
    """A request's body, read up to the limit before anybody else sees it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def read(self) -> bool:
        """Whether the whole body came and was small enough."""
        size = 0
        while True:
            message = await self._receive()
            self._messages.append(message)
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                return False
            if message["type"] != "http.request" or not message.get("more_body", False):
                return True

    async def again(self) -> Message:
        """The messages that were read, then those that follow."""
        return self._messages.pop(0) if self._messages else await self._receive()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(
                    (name.encode(), value.encode())
                    for name, value in SECURITY_HEADERS.items()
                    if name.encode() not in given
                ),
            ]
        await send(message)

    return sending
