"""A small client of the annotator, for scripts: what the page does, from Python.

client = Client("http://127.0.0.1:8000/#token=…")      # the line that `samkit annotate` prints
while (taken := client.next()) is not None:
    photograph = client.picture(taken.image)            # H × W × 3
    saved = client.put(taken.image, mask, labels=["cat"])
    client.submit(taken.image, saved["image_version"])
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray

from samkit import images
from samkit.annotate.embeddings import unpack
from samkit.errors import SamkitError, UsageError
from samkit.files import atomic_write
from samkit.masks import rle

_TIMEOUT = 600  # seconds; an embedding may have to wait for the model


class ServerError(SamkitError):
    """The server refused; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Taken:
    """An image that the queue handed out; the lease runs out after some seconds."""

    image: str
    lease: str
    expires_in: float


class Client:
    """Talks to one server, with one token."""

    def __init__(self, address: str, name: str | None = None) -> None:
        """address: with its token, as printed. name: of this client, for the log; random if None.

        Raises UsageError for an address without a token.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.fragment.startswith("token="):
            raise UsageError("The address must be the whole line that samkit annotate printed.")
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._token = parts.fragment.removeprefix("token=")
        self.name = name or secrets.token_urlsafe(12)
        # Never through a proxy: the server is on this machine, or on one of ours.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def project(self) -> dict[str, Any]:
        """Name, model, counts of images by state, formats of exports, me."""
        return dict(self._json("GET", "/api/project"))

    def images(self, state: str | None = None) -> Iterator[dict[str, Any]]:
        """All images in the queue's order, or those in one state."""
        after = None
        while True:
            page = self.list_images(state, after)
            yield from page["images"]
            after = page["next"]
            if after is None:
                return

    def list_images(
        self, state: str | None = None, after: str | None = None, limit: int = 500
    ) -> dict[str, Any]:
        """One page of the list: {images, next}; `after` is the `next` of the page before."""
        asked = {"limit": limit, "state": state, "after": after}
        query = urlencode({key: value for key, value in asked.items() if value is not None})
        return dict(self._json("GET", f"/api/images?{query}"))

    def next(self, after: str | None = None) -> Taken | None:
        """The next image on which nobody works, or None."""
        answer = self._json("POST", "/api/queue/next", {"after": after})
        if answer is None:
            return None
        return Taken(answer["image"], answer["lease"]["id"], answer["lease"]["expires_in"])

    def take(self, image_id: str, *, over: bool = False) -> Taken | None:
        """Lease an image, or None where somebody else works on it; `over` takes it from them."""
        answer = self._json("POST", self._path(image_id, "/lease"), {"over": over})
        lease = answer["lease"]
        return None if lease is None else Taken(image_id, lease["id"], lease["expires_in"])

    def renew(self, taken: Taken) -> None:
        """Keep an image for longer."""
        self._json("POST", f"/api/leases/{quote(taken.lease)}/renew", {})

    def release(self, taken: Taken) -> None:
        """Give an image back."""
        self._json("POST", f"/api/leases/{quote(taken.lease)}/release", {})

    def image(self, image_id: str) -> dict[str, Any]:
        """An image with its masks as the server has them."""
        return dict(self._json("GET", self._path(image_id)))

    def picture(self, image_id: str) -> NDArray[np.uint8]:
        """The photograph: H × W × 3 uint8 RGB, upright."""
        return images.read(self._bytes("GET", self._path(image_id, "/picture")))

    def embedding(
        self, image_id: str, crop: tuple[int, int, int, int] | None = None
    ) -> tuple[dict[str, Any], dict[str, NDArray[np.float16]]]:
        """Header and tensors of the embedding of an image, or of x0, y0, x1, y1 of it; waits."""
        query = "" if crop is None else "?crop=" + ",".join(map(str, crop))
        return unpack(self._bytes("GET", self._path(image_id, f"/embedding{query}")))

    def put(
        self,
        image_id: str,
        mask: NDArray[np.bool_],
        *,
        instance: str | None = None,
        base: int = 0,
        **fields: Any,
    ) -> dict[str, Any]:
        """Save a mask: a new one, or the next version of `instance` on top of version `base`.

        mask: H × W bool. fields: labels, stage, prompts, model, predicted_iou, seconds.
        Returns the operation's result; its status is "conflict" where somebody was quicker.
        """
        (encoded,) = rle.encode(np.asarray(mask)[None])
        operation = {
            "op": secrets.token_urlsafe(16),
            "kind": "put",
            "instance": instance or secrets.token_urlsafe(16),
            "base": base,
            "value": {"rle": encoded} | fields,
        }
        return self.operate(image_id, [operation])[0] | {"instance": operation["instance"]}

    def delete(self, image_id: str, instance: str, base: int) -> dict[str, Any]:
        """Delete a mask whose version `base` was seen."""
        operation = {
            "op": secrets.token_urlsafe(16),
            "kind": "delete",
            "instance": instance,
            "base": base,
        }
        return self.operate(image_id, [operation])[0]

    def operate(self, image_id: str, operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send operations as they are; sending them again does no harm.

        Returns their results, each with the image's version afterwards, `image_version`.
        """
        body = {"client": self.name, "operations": operations}
        answer = self._json("POST", self._path(image_id, "/operations"), body)
        return [result | {"image_version": answer["version"]} for result in answer["results"]]

    def submit(
        self, image_id: str, base: int, seconds: float = 0.0, *, op: str | None = None
    ) -> int:
        """The image is done.

        base: the image's version that was seen; where it has another one by now, nothing happens
        and a ServerError with status 409 is raised. op: an id of this change, a fresh one if None;
        with the same one it may be sent again. Returns the image's version.
        """
        return self._change(image_id, "submit", op, base=base, seconds=seconds)

    def skip(
        self,
        image_id: str,
        base: int,
        reason: str,
        seconds: float = 0.0,
        *,
        op: str | None = None,
    ) -> int:
        """The image is left out, for a reason. base, op and what is returned: as for `submit`."""
        return self._change(image_id, "skip", op, base=base, reason=reason, seconds=seconds)

    def review(
        self,
        image_id: str,
        base: int,
        accept: bool,
        comment: str = "",
        *,
        op: str | None = None,
    ) -> int:
        """Accept a submitted image, or send it back. Otherwise as `submit`."""
        decision = "accept" if accept else "reject"
        return self._change(image_id, "review", op, base=base, decision=decision, comment=comment)

    def add_person(self, name: str, role: str = "annotator") -> str:
        """A new person's address with their token, which is told this once; for admins.

        role: annotator, reviewer (who reviews and exports as well) or admin.
        """
        answer = self._json("POST", "/api/users", {"name": name, "role": role})
        return f"{self._base}/#token={answer['token']}"

    def snapshot(self) -> dict[str, Any]:
        """Write a snapshot and wait: {snapshot: HASH, images, masks}."""
        return self._wait(self._json("POST", "/api/snapshots", {})["job"])

    def formats(self) -> list[str]:
        """The names of the formats that `export` knows."""
        return list(self.project()["formats"])

    def export(self, format: str, file: str | Path) -> dict[str, Any]:
        """Export in a format, wait, and write the zip to `file`.

        format: one of `formats()`. Returns {format, snapshot, images, masks, losses}; losses counts
        what the format could not hold, by kind.
        """
        result = self._wait(self._json("POST", "/api/exports", {"format": format})["job"])
        data = self._bytes("GET", result["file"])
        with atomic_write(file) as target:
            target.write(data)
        return result

    def _change(self, image_id: str, what: str, op: str | None, **fields: Any) -> int:
        body = {"op": op or secrets.token_urlsafe(16)} | fields
        return int(self._json("POST", self._path(image_id, f"/{what}"), body)["version"])

    def _wait(self, job_id: str) -> dict[str, Any]:
        pause = 0.02
        while (job := self._json("GET", f"/api/jobs/{quote(job_id)}"))["state"] != "done":
            if job["state"] == "failed":
                raise ServerError(500, job["error"])
            time.sleep(pause)
            pause = min(1.0, 1.5 * pause)
        return dict(job["result"])

    def _path(self, image_id: str, rest: str = "") -> str:
        return f"/api/images/{quote(image_id, safe='')}{rest}"

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        data = self._bytes(method, path, body)
        return json.loads(data) if data else None

    def _bytes(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            if error.code == 409 and b'"results"' in text:
                return text  # conflicts are results
            raise ServerError(error.code, _sentence(text)) from error
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise ServerError(0, f"The annotator does not answer at {self._base}.") from error


def _sentence(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return "The server gave no reason."
