"""The HTTP door: which answers there are, how many connections, and what becomes of clients that stall."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from structlog.testing import capture_logs

from dnslb.control.http.connections import MAX_CONNECTIONS
from dnslb.control.http.door import HttpError, HttpServer, bind
from tests.control.http.conftest import WRITER, Asked, Opener, bearer


async def test_metrics(client: aiohttp.ClientSession) -> None:
    """GET /metrics returns the exposition in the type that Prometheus asks for."""
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert await response.read() == b"dnslb_generation 7\n"


async def test_metrics_are_rendered_in_a_thread(opened: Opener) -> None:
    """The event loop, which probes and publishes, does not wait for the metrics."""
    threads: list[threading.Thread] = []

    def exposition() -> bytes:
        threads.append(threading.current_thread())
        return b""

    server = await opened(exposition=exposition)
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/metrics"):
        pass
    assert threads != []
    assert threads[0] is not threading.main_thread()


async def test_status(client: aiohttp.ClientSession, operator: Asked) -> None:
    """GET /api/v1/status returns the status as JSON, not to be cached."""
    async with client.get("/api/v1/status") as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.json() == operator.now


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status", "/api/v1/stream"])
async def test_head_is_get_without_a_body(client: aiohttp.ClientSession, path: str) -> None:
    """Whoever looks whether there is something learns that there is."""
    async with client.head(path) as response:
        assert response.status == 200
        assert await response.read() == b""


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status", "/api/v1/nothing", "/nothing"])
async def test_what_a_browser_may_do_with_it(client: aiohttp.ClientSession, path: str) -> None:
    """Scripts are ours or none; nobody frames it, guesses its type, or learns of it by a link."""
    async with client.get(path) as response:
        headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "dnslb"
    policy = dict(part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


async def test_everything_else_is_missing(client: aiohttp.ClientSession) -> None:
    """Other paths are 404, other methods 405."""
    async with client.get("/metrics/") as response:
        assert response.status == 404
    async with client.post("/metrics") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    async with client.options("/api/v1/admin") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_errors_of_the_api_are_json(client: aiohttp.ClientSession) -> None:
    """A word for programs, a sentence for people, and what helps."""
    async with client.get("/api/v1/nothing") as response:
        assert response.status == 404
        error = (await response.json())["error"]
    assert error["code"] == "unknown_verb"
    assert "status" in error["details"]["known"]
    async with client.get("/api/v1/admin") as response:
        assert response.status == 405
        assert (await response.json())["error"]["code"] == "method_not_allowed"


async def test_a_taken_port_is_one_clear_error(server: HttpServer) -> None:
    """The error names the address and what to do."""
    with pytest.raises(
        HttpError, match=rf'127\.0\.0\.1 port {server.port}: .*in use; choose another address for "http"'
    ):
        bind("127.0.0.1", server.port)


async def test_stopped_means_closed(server: HttpServer) -> None:
    """After stop the port can be taken again; a second stop is harmless."""
    port = server.port
    await server.stop()
    await server.stop()
    bind("127.0.0.1", port).close()


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


async def status_line(stream: Stream, path: str = "/metrics") -> bytes:
    """Ask for something over a connection; return the first line of the response."""
    reader, writer = stream
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
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
async def test_a_client_that_stalls_is_closed(opened: Opener, sent: bytes) -> None:
    """Before a request, within one, and after one: the connection ends."""
    server = await opened(idle=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    assert (await reader.read() == b"") == (not sent.endswith(b"\r\n\r\n"))
    writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(opened: Opener) -> None:
    """Who announces more than is sent is told so."""
    server = await opened(idle=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + WRITER.encode() + b"\r\nContent-Length: 10\r\n\r\n{"
    )
    assert await reader.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
    writer.close()


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


async def test_a_fault_of_ours_is_logged(server: HttpServer, operator: Asked) -> None:
    """The client is told that the log has the details, and it has them, but no token."""
    operator.broken = True
    url = f"http://127.0.0.1:{server.port}/api/v1/status"
    with capture_logs() as lines:
        async with aiohttp.ClientSession() as client, client.get(url, headers=bearer(WRITER)) as response:
            assert response.status == 500
            assert (await response.json())["error"]["code"] == "internal"
    assert [(line["event"], line["exc_info"]) for line in lines] == [("http_request_failed", True)]
    assert WRITER not in str(lines)


async def test_what_has_begun_is_done_although_its_client_leaves(
    opened: Opener, operator: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change is never half done because somebody closes a browser."""
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(who: str) -> dict[str, object]:
        begun.set()
        await go_on.wait()
        done.set()
        return {"by": who}

    monkeypatch.setattr(operator, "reload", slow)
    server = await opened()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + WRITER.encode() + b"\r\nContent-Length: 2\r\n\r\n{}"
        )
        await begun.wait()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/"):
        pass  # the door has heard by now that the other one is gone
    go_on.set()
    await server.stop()
    assert done.is_set()


async def test_what_is_only_read_is_not_worked_out_for_nobody(
    opened: Opener, operator: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who asks and leaves, again and again, would have the daemon work for hours."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def slow() -> dict[str, object]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return {}

    monkeypatch.setattr(operator, "status", slow)
    server = await opened()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await begun.wait()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/"):
        pass  # the door has heard by now that the other one is gone
    assert left.is_set()


async def test_who_reads_has_a_turn_and_nobody_two(
    client: aiohttp.ClientSession, operator: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask at once, there is one answer at a time in the making: probes want the daemon too."""
    at_a_time: list[int] = []
    now = 0

    async def counted() -> dict[str, object]:
        nonlocal now
        now += 1
        at_a_time.append(now)
        for _ in range(100):
            await asyncio.sleep(0)
        now -= 1
        return {}

    async def status() -> int:
        async with client.get("/api/v1/status") as response:
            return response.status

    monkeypatch.setattr(operator, "status", counted)
    assert await asyncio.gather(*(status() for _ in range(10))) == [200] * 10
    assert at_a_time == [1] * 10
