"""The HTTP door tells metrics and status, only to those who call it by its own name."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from structlog.testing import capture_logs

from dnslb.control.http import MAX_CONNECTIONS, HttpError, HttpServer, is_ours


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


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def connect(server: HttpServer) -> AsyncIterator[Callable[[], Awaitable[Stream]]]:
    """Return what opens connections to the server, which end with the test."""
    async with AsyncExitStack() as stack:

        async def connect() -> Stream:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            return reader, writer

        yield connect


async def status_line(stream: Stream) -> bytes:
    """Ask for the metrics over a connection; return the first line of the response."""
    reader, writer = stream
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return await reader.readline()


async def test_one_connection_too_many_closes_the_oldest(connect: Callable[[], Awaitable[Stream]]) -> None:
    """Who holds connections open keeps nobody out: the newest is served, the oldest is closed, and only that."""
    streams = [await connect() for _ in range(MAX_CONNECTIONS + 1)]
    assert await status_line(streams[-1]) == b"HTTP/1.1 200 OK\r\n"
    assert await streams[0][0].read() == b""
    assert await status_line(streams[1]) == b"HTTP/1.1 200 OK\r\n"


async def test_closed_connections_make_room(connect: Callable[[], Awaitable[Stream]]) -> None:
    """A connection that has ended does not count: an old one stays however many come and go."""
    oldest = await connect()
    for _ in range(MAX_CONNECTIONS + 1):
        reader, writer = await connect()
        writer.write_eof()
        assert await reader.read() == b""
    assert await status_line(oldest) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
async def test_a_client_that_stalls_is_closed(sent: bytes) -> None:
    """Before a request, within one, and after one: the connection ends."""
    server = HttpServer("127.0.0.1", 0, status=status, exposition=lambda: b"", idle=0.05)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    assert (await reader.read() == b"") == (not sent.endswith(b"\r\n\r\n"))
    writer.close()
    await server.stop()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x00\xa5\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_not_worth_a_line(
    connect: Callable[[], Awaitable[Stream]], caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Anybody can send rubbish: it is answered with 400 and not logged."""
    caplog.set_level(logging.DEBUG)
    reader, writer = await connect()
    writer.write(sent)
    assert b" 400 " in await reader.readline()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_a_fault_of_ours_is_logged() -> None:
    """The client is told that the log has the details, and it has them."""

    async def broken() -> dict[str, object]:
        raise ZeroDivisionError

    server = HttpServer("127.0.0.1", 0, status=broken, exposition=lambda: b"")
    await server.start()
    with capture_logs() as lines:
        url = f"http://127.0.0.1:{server.port}/api/v1/status"
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert response.status == 500
    await server.stop()
    assert [(line["event"], line["exc_info"]) for line in lines] == [("http_request_failed", True)]
