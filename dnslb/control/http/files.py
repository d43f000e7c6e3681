"""The status page's files: read once, so that no request ever names a path."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PAGE = Path(__file__).parents[1] / "page"
_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent. `tag` changes with what is in it."""

    body: bytes
    type: str
    tag: str


def page_files(directory: Path = PAGE) -> dict[str, File]:
    """Return the files of the page by their paths in URLs; index.html is /."""
    files = {f"/page/{path.name}": _file(path) for path in directory.iterdir() if path.suffix in _TYPES}
    return {"/": files.pop("/page/index.html"), **files}


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body, _TYPES[path.suffix], f'"{sha256(body).hexdigest()[:32]}"')
