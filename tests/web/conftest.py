"""The annotator as a person has it: a real server, a real browser; skipped where one is missing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from annotator_person import Person
from annotator_server import ROOT, Annotator
from PIL import Image

PAGE = ROOT / "src" / "samkit" / "annotate" / "page" / "index.html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu"]
QUICK = "--js-flags=--liftoff-only"  # code that is not kept is not worth compiling thoroughly
VIEWPORT: Any = {"width": 1360, "height": 820}
PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
COPIES = 12  # of each picture; no two tests have the same copy
LARGE = "z-large.jpg"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of a few photographs, which differ in their comments, and a large one."""
    folder = tmp_path_factory.mktemp("photos")
    for name in PICTURES:
        picture = Image.fromarray(getattr(skimage.data, name)())
        for number in range(COPIES):
            comment = f"copy {number}"  # the project knows images by their files' content
            picture.save(folder / f"{name}-{number:02}.jpg", quality=95, comment=comment)
    Image.fromarray(skimage.data.coffee()).resize((3000, 2000)).save(folder / LARGE)
    return folder


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Annotator]:
    for package in ("fastapi", "sqlalchemy", "onnx"):
        pytest.importorskip(package)
    if not PAGE.is_file():
        pytest.skip("needs the annotator's page: npm ci and npm run build in web/")
    server = Annotator(tmp_path_factory.mktemp("project") / "my.samkit", photos)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def large() -> str:
    """The name of a photograph of many pixels."""
    return LARGE


@pytest.fixture
def annotator(_server: Annotator) -> Annotator:
    """A server that runs, the same for all tests; skipped by name where the page was not built."""
    if _server.process is None:  # a test that failed has killed it
        _server.start()
    return _server


@pytest.fixture(scope="session")
def _unused() -> dict[str, Iterator[int]]:
    return {name: iter(range(COPIES)) for name in PICTURES}


@pytest.fixture
def photo(annotator: Annotator, _unused: dict[str, Iterator[int]]) -> Callable[[str], str]:
    """Gives the name of a copy that no other test has, each the one after the last in the project.

    Nobody works on it: what somebody's closed tab still held of it is given back.
    """

    def unused(picture: str) -> str:
        name = f"{picture}-{next(_unused[picture]):02}.jpg"
        taken = annotator.ask(f"/api/images/{annotator.image_id(name)}/lease", {"over": True})
        annotator.ask(f"/api/leases/{taken['lease']['id']}/release", {})
        return name

    return unused


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as running:
        yield running.chromium


@pytest.fixture(scope="session")
def _profile(_chromium: Any, _server: Annotator) -> Iterator[Any]:
    """The owner's browser profile; its tabs share a process, in which one keeps compiled code."""
    browser = _chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, "--process-per-site"])
    profile = browser.new_context(viewport=VIEWPORT)
    keeper = profile.new_page()
    keeper.route("**/api/**", lambda route: route.abort())  # it never connects
    keeper.goto(_server.address.split("#")[0])
    yield profile
    browser.close()


@pytest.fixture(scope="session")
def _others(_chromium: Any) -> Iterator[Any]:
    """The browser of others, each of whom has a profile and so a process."""
    browser = _chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, QUICK])
    yield browser
    browser.close()


@pytest.fixture
def people(_others: Any, annotator: Annotator) -> Iterator[Callable[[str, str, str], Person]]:
    """Opens an image as somebody with a fresh browser profile: people(NAME, ROLE, IMAGE)."""
    met: list[Person] = []

    def meet(name: str, role: str, image: str) -> Person:
        context = _others.new_context(viewport=VIEWPORT)
        met.append(Person(context.new_page()))
        met[-1].open(annotator, image, annotator.address_of(name, role))
        return met[-1]

    yield meet
    for somebody in met:
        somebody.page.context.close()
    assert [error for somebody in met for error in somebody.errors] == []


@pytest.fixture
def person(_profile: Any, annotator: Annotator) -> Iterator[Person]:
    """The owner of the project in a fresh tab; of other tests the browser has only its caches."""
    keeper = _profile.pages[0]
    somebody = Person(_profile.new_page())
    yield somebody
    _profile.set_offline(False)
    for tab in _profile.pages:
        if tab is not keeper:
            tab.close()
    origin = annotator.address.split("/#")[0]
    kept = {"origin": origin, "storageTypes": "indexeddb,local_storage"}
    devtools = _profile.new_cdp_session(keeper)
    devtools.send("Storage.clearDataForOrigin", kept)
    devtools.detach()
    assert somebody.errors == []
