"""The stream: the status and what changes in it, events old and new, and what becomes of who does not listen well."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from dnslb.control.http import door
from dnslb.control.http.connections import MAX_CONNECTIONS
from dnslb.control.http.door import HttpServer
from dnslb.control.http.stream import Stream
from dnslb.control.protocol import Code, Refused
from tests.control.http.conftest import READER, TOKENS, WRITER, Asked, Opener, bearer
from tests.control.http.test_patch import applied

Message = tuple[str, str, Any]
"""Kind, id, and data."""


def event(number: int) -> dict[str, Any]:
    """Return an event."""
    return {"id": number, "kind": "state", "text": f"the {number}th"}


async def messages(response: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    """Yield what comes; a comment is the kind ""."""
    nothing = {"event": "", "id": "", "data": "null"}
    fields = dict(nothing)
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        if line == b"\n":
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = dict(nothing)


@asynccontextmanager
async def listening(server: HttpServer, token: str = "", **headers: str) -> AsyncIterator[AsyncIterator[Message]]:
    """Listen to a door's stream."""
    given = {name.replace("_", "-"): value for name, value in headers.items()} | (bearer(token) if token else {})
    async with (
        aiohttp.ClientSession(read_bufsize=2**24) as client,
        client.get(f"http://127.0.0.1:{server.port}/api/v1/stream", headers=given) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        # What is no stream any more is no connection that does not count either.
        assert response.headers["Connection"] == "close"
        yield messages(response)


async def the_next(heard: AsyncIterator[Message], kind: str) -> Message:
    """Return the next message of a kind."""
    async for message in heard:
        if message[0] == kind:
            return message
    raise AssertionError(f"the stream ended without {kind}")


async def test_first_the_status_then_what_changes(server: HttpServer, operator: Asked) -> None:
    """Who applies the patches has the status that the daemon has."""
    operator.now = {"pools": {"a": {"panic": False, "drain": None}, "b": {}}, "long": list(range(100))}
    async with listening(server) as heard:
        kind, _, seen = await anext(heard)
        assert (kind, seen) == ("status", operator.now)
        operator.now = {"pools": {"a": {"panic": True, "drain": {}}}, "long": list(range(100))}
        _, _, patch = await the_next(heard, "patch")
        assert applied(seen, patch) == operator.now


async def test_a_patch_that_is_no_shorter_is_the_status(server: HttpServer, operator: Asked) -> None:
    """A reload may change everything."""
    operator.now = {"pools": {"a": 1}}
    async with listening(server) as heard:
        await the_next(heard, "status")
        operator.now = {"other": {"b": 2}}
        assert (await the_next(heard, "status"))[2] == operator.now


async def test_what_was_before(opened: Opener, operator: Asked) -> None:
    """The history comes once, and the newest 50 events with their ids."""
    operator.past = [event(number) for number in range(1, 61)]
    server = await opened(history=lambda: {"interval_s": 2})
    async with listening(server) as heard:
        assert (await the_next(heard, "history"))[2] == {"interval_s": 2}
        seen = [await the_next(heard, "event") for _ in range(50)]
    assert [(number, data) for _, number, data in seen] == [(str(n), event(n)) for n in range(11, 61)]


async def test_who_comes_back_hears_what_he_missed(server: HttpServer, operator: Asked) -> None:
    """By the id that a browser sends; one that is none is as good as none."""
    operator.past = [event(number) for number in range(1, 61)]
    async with listening(server, Last_Event_ID="57") as heard:
        assert [(await the_next(heard, "event"))[1] for _ in range(3)] == ["58", "59", "60"]
    async with listening(server, Last_Event_ID="-1; x") as heard:
        assert (await the_next(heard, "event"))[1] == "11"


async def test_each_event_is_heard_once(server: HttpServer, operator: Asked) -> None:
    """Also one that comes while the old ones are read, and is among them; one that could not be stored has no id."""
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_since: None, _pool: None, _after: None, _limit: int) -> list[dict[str, Any]]:
        reading.set()
        await go_on.wait()
        return [event(1), event(2)]

    operator.events = slow  # type: ignore[assignment, method-assign] # as the stream asks
    async with listening(server) as heard:
        await reading.wait()
        for number in (2, 3, 0):
            server.tell(event(number))
        go_on.set()
        assert [(await the_next(heard, "event"))[1] for _ in range(4)] == ["1", "2", "3", ""]
        server.tell(event(4))
        assert await the_next(heard, "event") == ("event", "4", event(4))


async def test_ids_that_begin_anew_are_heard(server: HttpServer, operator: Asked) -> None:
    """A database that had to be set aside gives them again, to other events."""
    operator.past = [event(1), event(2)]
    async with listening(server) as heard:
        assert [(await the_next(heard, "event"))[1] for _ in range(2)] == ["1", "2"]
        for number in (3, 1):
            server.tell(event(number))
        assert [(await the_next(heard, "event"))[1] for _ in range(2)] == ["3", "1"]


async def test_a_store_that_fails_keeps_nobody_from_what_is_now(server: HttpServer, operator: Asked) -> None:
    """There are no old events then, and the new ones come."""

    async def failing(*_args: object) -> list[dict[str, Any]]:
        raise Refused(Code.INTERNAL, "the disk is broken")

    operator.events = failing  # type: ignore[assignment, method-assign] # as the stream asks
    async with listening(server) as heard:
        await the_next(heard, "history")
        server.tell(event(0))
        assert await the_next(heard, "event") == ("event", "", event(0))


async def test_a_disk_that_hangs_keeps_nobody_from_what_is_now(server: HttpServer, operator: Asked) -> None:
    """The status comes and what changes in it, and the history; only events wait."""

    async def hanging(*_args: object) -> list[dict[str, Any]]:
        await asyncio.Event().wait()
        return []

    operator.now = {"long": list(range(100)), "pools": {}}
    operator.events = hanging  # type: ignore[assignment, method-assign] # as the stream asks
    async with listening(server) as heard:
        await the_next(heard, "status")
        await the_next(heard, "history")
        operator.now["pools"] = {"a": 1}
        assert (await the_next(heard, "patch"))[2] == [{"op": "add", "path": "/pools/a", "value": 1}]


async def test_a_fault_in_what_was_before_ends_the_stream(opened: Opener) -> None:
    """And is logged."""

    def broken() -> dict[str, Any]:
        raise ZeroDivisionError

    server = await opened(history=broken)
    with capture_logs() as lines:
        async with listening(server) as heard:
            async for _ in heard:
                pass
    assert [line["event"] for line in lines] == ["stream_failed"]


async def test_a_quiet_stream_shows_that_it_lives(opened: Opener) -> None:
    """Nothing changes, and yet something comes: proxies and clients keep the connection."""
    server = await opened(quiet=0.01)
    async with listening(server) as heard:
        await the_next(heard, "history")
        assert await the_next(heard, "") == ("", "", None)


async def test_nothing_is_made_while_nobody_listens(opened: Opener, operator: Asked) -> None:
    """The status is asked for by who listens, once for all of them, and by nobody when they are gone."""
    asked, status = 0, operator.status

    async def counted() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return await status()

    operator.status = counted  # type: ignore[method-assign] # to see who asks
    server = await opened(pace=3600.0)
    async with listening(server) as one, listening(server) as two:
        await the_next(one, "status")
        await the_next(two, "status")
    assert asked <= 2
    before = asked
    async with listening(server) as again:
        await the_next(again, "status")
    assert asked == before + 1


async def test_a_fault_ends_the_stream_and_is_logged(server: HttpServer, operator: Asked) -> None:
    """Who listens comes again, and hears the status as soon as there is one."""
    with capture_logs() as lines:
        async with listening(server) as heard:
            await the_next(heard, "history")
            operator.broken = True
            async for _ in heard:
                pass
    assert [line["event"] for line in lines] == ["stream_failed"]
    operator.broken = False
    async with listening(server) as heard:
        await the_next(heard, "status")


async def test_a_token_that_is_none_any_more_ends_its_streams(server: HttpServer) -> None:
    """Those of others go on, and those without a token on loopback."""
    async with listening(server, READER) as read, listening(server, WRITER) as write, listening(server) as open_:
        for heard in (read, write, open_):
            await the_next(heard, "history")
        server.use(TOKENS[1:])
        async for _ in read:
            pass
        server.tell(event(7))
        for heard in (write, open_):
            assert (await the_next(heard, "event"))[1] == "7"


async def test_streams_and_scrapes_do_not_keep_each_other_out(server: HttpServer) -> None:
    """All streams that can be are there, then more other connections than can be: both go on."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(server)) for _ in range(door.MAX_STREAMS)]
        for heard in streams:
            await the_next(heard, "history")
        for _ in range(MAX_CONNECTIONS + 1):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/metrics") as response:
            assert response.status == 200
        url = f"http://127.0.0.1:{server.port}/api/v1/stream"
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        server.tell(event(1))
        for heard in streams:
            assert (await the_next(heard, "event"))[1] == "1"


@pytest.fixture
async def stream(operator: Asked) -> Callable[..., Stream]:
    """Return what makes streams of the operator's status, without events."""

    async def events(_number: int) -> list[dict[str, Any]]:
        return []

    def made(**values: Any) -> Stream:  # noqa: ANN401 - as Stream has it
        return Stream(operator.status, values.pop("events", events), dict, **values)

    return made


async def test_who_does_not_take_what_waits_is_dropped(stream: Callable[..., Stream]) -> None:
    """Not the others: what waits for one costs them nothing."""
    made = stream(backlog=1000)
    with made.listening(None) as slow, made.listening(None) as quick:
        taken = quick.pieces()
        made.tell(event(0))
        for heard in (slow.pieces(), taken):
            while b"the 0th" not in await anext(heard):
                pass
        for number in range(1, 101):
            made.tell(event(number))
            while f"the {number}th".encode() not in await anext(taken):
                pass
        assert [piece async for piece in slow.pieces()] == []


async def test_who_comes_after_a_fault_is_served(stream: Callable[..., Stream], operator: Asked) -> None:
    """Although those whom it has ended are not gone yet."""
    made = stream(pace=0.0)
    with made.listening(None) as old:
        operator.broken = True
        with capture_logs():
            assert [piece async for piece in old.pieces()] == []
        operator.broken = False
        with made.listening(None) as new:
            assert (await anext(new.pieces())).startswith(b"event: status")


async def test_nothing_is_left_of_who_leaves(stream: Callable[..., Stream]) -> None:
    """Not even what waits for a disk that hangs."""
    reading = asyncio.Event()

    async def hanging(_number: int) -> list[dict[str, Any]]:
        reading.set()
        await asyncio.Event().wait()
        return []

    with stream(events=hanging).listening(None):
        await reading.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_tenth_of_the_time_at_most(stream: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    """What took long is not done again before nine times as long, whoever comes meanwhile."""
    slept: asyncio.Queue[float] = asyncio.Queue()
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    made = stream(pace=0.0, clock=iter((0.0, 2.0, 10.0, 10.5, 20.0, 20.0, *[30.0] * 1000)).__next__)
    with made.listening(None):
        assert [await slept.get() for _ in range(3)] == [18.0, 4.5, 0.0]


async def test_who_does_not_read_is_closed(opened: Opener, operator: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the kernel takes no more for it, it has as long as for anything else; then its place is free."""
    monkeypatch.setattr(door, "MAX_STREAMS", 1)
    operator.now = {"long": "x" * 2**24}
    server = await opened(idle=0.05)
    loop = asyncio.get_running_loop()
    with socket.socket() as deaf:
        deaf.setblocking(False)  # noqa: FBT003 - the library's
        await loop.sock_connect(deaf, ("127.0.0.1", server.port))
        await loop.sock_sendall(deaf, b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await loop.sock_recv(deaf, 1)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            while await status_of(client) == 503:
                pass


async def status_of(client: aiohttp.ClientSession) -> int:
    """Return the status that the stream is refused or begun with."""
    async with client.get("/api/v1/stream") as response:
        return response.status
