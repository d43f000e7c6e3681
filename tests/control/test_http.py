"""The HTTP door tells metrics and status, only to those who call it by its own name."""

import threading
from collections.abc import AsyncIterator

import aiohttp
import pytest

from dnslb.control.http import HttpError, HttpServer, is_ours


async def status() -> dict[str, object]:
    """Return a status."""
    return {"version": "0.1.0", "pools": {}}


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """Return a server on a free port."""
    server = HttpServer("127.0.0.1", 0, status=status, exposition=lambda: b"dnslb_generation 7\n")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client of the server."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield client


async def test_metrics(client: aiohttp.ClientSession) -> None:
    """GET /metrics returns the exposition in the type that Prometheus asks for."""
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert await response.read() == b"dnslb_generation 7\n"


async def test_metrics_are_rendered_in_a_thread() -> None:
    """The event loop, which probes and publishes, does not wait for the metrics."""
    threads: list[threading.Thread] = []

    def exposition() -> bytes:
        threads.append(threading.current_thread())
        return b""

    server = HttpServer("127.0.0.1", 0, status=status, exposition=exposition)
    await server.start()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/metrics"):
        pass
    await server.stop()
    assert threads != []
    assert threads[0] is not threading.main_thread()


async def test_status(client: aiohttp.ClientSession) -> None:
    """GET /api/v1/status returns the status as JSON, not to be cached."""
    async with client.get("/api/v1/status") as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.json() == await status()


async def test_page_names_the_others(client: aiohttp.ClientSession) -> None:
    """GET / is a page with links to what there is."""
    async with client.get("/") as response:
        assert response.content_type == "text/html"
        text = await response.text()
    assert 'href="/metrics"' in text
    assert 'href="/api/v1/status"' in text


async def test_everything_else_is_missing(client: aiohttp.ClientSession) -> None:
    """Other paths are 404, other methods 405."""
    async with client.get("/metrics/") as response:
        assert response.status == 404
    async with client.post("/metrics") as response:
        assert response.status == 405


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status"])
async def test_a_foreign_name_is_refused(client: aiohttp.ClientSession, path: str) -> None:
    """A browser that was led here under another name learns nothing but how to ask."""
    async with client.get(path, headers={"Host": "evil.example:8053"}) as response:
        assert response.status == 421
        assert "http://127.0.0.1" in await response.text()


@pytest.mark.parametrize(
    ("host", "reached", "ours"),
    [
        ("127.0.0.1:8053", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST.:8053", "127.0.0.1", True),
        ("[::1]:8053", "::1", True),
        ("[::1]", "::1", True),
        ("192.0.2.7:8053", "192.0.2.7", True),
        ("[2001:DB8:0::7]:8053", "2001:db8::7", True),
        ("192.0.2.8:8053", "192.0.2.7", False),
        ("evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("[", "::1", False),
    ],
)
def test_which_hosts_are_ours(host: str, reached: str, ours: bool) -> None:  # noqa: FBT001 - a column of the table
    """Loopback by name or address, and the address that the connection reached; nothing else."""
    assert is_ours(host, reached) is ours


async def test_a_taken_port_is_one_clear_error(server: HttpServer) -> None:
    """The error names the address and what to do, and leaves nothing open."""
    second = HttpServer("127.0.0.1", server.port, status=status, exposition=lambda: b"")
    with pytest.raises(
        HttpError, match=rf'127\.0\.0\.1 port {server.port}: .*in use; choose another address for "http"'
    ):
        await second.start()
    await second.stop()


async def test_stopped_means_closed(server: HttpServer) -> None:
    """After stop the port can be taken again; a second stop is harmless."""
    port = server.port
    await server.stop()
    await server.stop()
    again = HttpServer("127.0.0.1", port, status=status, exposition=lambda: b"")
    await again.start()
    await again.stop()
