"""The page and its assets, which hold no data and need no token; and the list of routes."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from samkit.annotate.refusals import NotFound
from samkit.annotate.route_list import describe
from samkit.extras import checkout

PAGE = Path(__file__).parents[1] / "page"
"""Where the build puts the page."""


def missing() -> str:
    """What to do where there is no page."""
    root = checkout()
    if root is None:
        return (
            "The annotator's page is not in this installation: when its wheel was made, npm could "
            "not be reached. Make it again, with SAMKIT_PAGE=require in the environment."
        )
    return (
        f"The annotator's page is not built: run `make annotate` in {root}, or `npm ci` and "
        "`npm run build` in its web/."
    )


router = APIRouter(include_in_schema=False)
_SUFFIXES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@router.get("/")
def read_page() -> Response:
    """The page."""
    index = PAGE / "index.html"
    if not index.is_file():
        return JSONResponse({"error": missing()}, 503)
    return FileResponse(index, media_type="text/html")


@router.get("/favicon.ico")
def read_icon() -> Response:
    """The page names its icon itself."""
    raise NotFound("There is no such file.")


@router.get("/assets/{name}")
def read_asset(name: str) -> Response:
    """A file of the page; its name holds its hash, so it may be kept for ever."""
    suffix = Path(name).suffix
    names = {path.name for path in (PAGE / "assets").glob("*")}
    if suffix not in _SUFFIXES or name not in names:
        raise NotFound("There is no such file.")
    return FileResponse(
        PAGE / "assets" / name,
        media_type=_SUFFIXES[suffix],
        headers={"cache-control": "private, max-age=31536000, immutable"},
    )


@router.get("/openapi.json")
def read_openapi(request: Request) -> JSONResponse:
    """All routes, as OpenAPI has them."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
def read_docs(request: Request) -> HTMLResponse:
    """All routes, for people: one page without scripts."""
    return HTMLResponse(describe(request.app.openapi()))
