"""The page's files: a fixed set, each in its type, not sent again to who has it."""

from pathlib import Path

import aiohttp
import pytest

from dnslb.control.http.files import PAGE, page_files


async def test_the_page(client: aiohttp.ClientSession) -> None:
    """/ is index.html; whoever has it is told so, and must ask each time."""
    async with client.get("/") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache"
        assert await response.read() == (PAGE / "index.html").read_bytes()
        tag = response.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""


async def test_each_file_of_the_page_is_sent(client: aiohttp.ClientSession) -> None:
    """All that lies in the directory, and it is all of a type that is known."""
    files = page_files()
    assert len(files) == len(list(PAGE.iterdir()))
    for path, file in files.items():
        async with client.get(path) as response:
            assert (response.status, response.headers["Content-Type"]) == (200, file.type)
            assert await response.read() == file.body


@pytest.mark.parametrize("path", ["/page/../door.py", "/page/%2e%2e/http/door.py", "/page/", "/page//etc/passwd"])
async def test_no_path_leads_out(client: aiohttp.ClientSession, path: str) -> None:
    """Nothing but the files that were there at the start."""
    async with client.get(path) as response:
        assert response.status == 404


def test_a_file_that_changes_has_another_tag(tmp_path: Path) -> None:
    """Nobody is left with an old one."""
    (tmp_path / "index.html").write_text("old")
    before = page_files(tmp_path)["/"].tag
    (tmp_path / "index.html").write_text("new")
    assert page_files(tmp_path)["/"].tag != before
