"""The control socket as clients meet it, friendly and hostile, over real Unix sockets."""

import asyncio
import contextlib
import json
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dnslb.answer.senders import Client
from dnslb.control import server as server_module
from dnslb.control.client import call
from dnslb.control.protocol import MAX_LINE, Code, Refused
from dnslb.control.server import ControlError, ControlServer
from dnslb.pool.admin import AdminState
from dnslb.pool.planned import Planned
from dnslb.pool.window import Span

ME = pwd.getpwuid(os.getuid()).pw_name


class FakeOperator:
    """An operator that notes what it is asked, and does nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.asked_once = asyncio.Event()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def status(self) -> dict[str, Any]:
        """Return a status, when the test lets it."""
        self.begun.set()
        await self.go_on.wait()
        return {"generation": 7}

    async def set_admin(self, pool: str, member: str, state: AdminState, reason: str, who: str) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("admin", pool, member, state, reason, who))
        return {"admin": state, "generation": 8}

    async def set_window(self, pool: str, member: str, span: Span, reason: str, who: str) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("window", pool, member, span, reason, who))
        return {"admin": "ready", "generation": 8}

    async def set_weight(self, pool: str, member: str, weight: int | None, reason: str, who: str) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("weight", pool, member, weight, reason, who))
        return {"weight": weight, "generation": 8}

    async def reload(self, who: str) -> dict[str, Any]:
        """Refuse: the configuration is wrong."""
        self.asked.append(("reload", who))
        raise Refused(Code.CONFIG, "the configuration has errors", {"problems": ["dnslb.toml:1: wrong"]})

    async def events(
        self, since: float | None, pool: str | None, after: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Note it."""
        self.asked.append(("events", since, pool, after, limit))
        self.asked_once.set()
        return [{"id": 1, "text": "x" * 200_000}]

    async def explain(self, name: bytes, rtype: int | None, client: Client | None) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("explain", name, rtype, client))
        return {"why": ""}

    async def plan(self, changes: Sequence[Planned]) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("plan", *changes))
        return {"panics": []}

    async def probe(self, pool: str, member: str, who: str) -> dict[str, Any]:
        """Note it."""
        self.asked.append(("probe", pool, member, who))
        return {"up": True}

    def version(self) -> dict[str, Any]:
        """Fail, as nothing should."""
        raise RuntimeError("a secret detail")


@pytest.fixture
def operator() -> FakeOperator:
    """Give the operator that the server calls."""
    return FakeOperator()


@pytest.fixture
async def server(tmp_path: Path, operator: FakeOperator) -> AsyncIterator[ControlServer]:
    """Give a listening server, closed after the test."""
    started = await ControlServer.start(tmp_path / "run" / "control.sock", operator)
    yield started
    await started.close()


class Talk:
    """One connection to the server, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: object) -> dict[str, Any]:
        """Send one request (octets as they are, anything else as JSON) and return the response."""
        line = request if isinstance(request, bytes) else json.dumps(request).encode()
        self.writer.write(line + b"\n")
        return await self.response()

    async def response(self) -> dict[str, Any]:
        """Return the next response."""
        response: dict[str, Any] = json.loads(await self.reader.readline())
        return response

    async def error(self, request: object) -> tuple[str, str]:
        """Send a request that must fail; return code and message."""
        response = await self.ask(request)
        assert response["ok"] is False
        return response["error"]["code"], response["error"]["message"]

    async def is_closed(self) -> bool:
        """Wait for the server's end of file, and return whether nothing came before it."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@contextlib.asynccontextmanager
async def talk(path: Path) -> AsyncIterator[Talk]:
    """Connect to the socket, and close at the end."""
    reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_request_gets_its_result(server: ControlServer) -> None:
    """The response repeats version and id, and carries the operator's result."""
    async with talk(server.path) as client:
        response = await client.ask({"v": 1, "id": 5, "verb": "status", "args": {}})
    assert response == {"v": 1, "id": 5, "ok": True, "result": {"generation": 7}}


async def test_fields_can_be_left_out(server: ControlServer) -> None:
    """Version, id and args have defaults; a response without id follows a request without one."""
    async with talk(server.path) as client:
        assert await client.ask({"verb": "status"}) == {"v": 1, "ok": True, "result": {"generation": 7}}


async def test_a_change_carries_the_name_of_its_user(server: ControlServer, operator: FakeOperator) -> None:
    """Who asks comes from the kernel, and the arguments are passed on as typed values."""
    async with talk(server.path) as client:
        target = {"pool": "inbound", "member": "mx1"}
        await client.ask({"verb": "admin", "args": {**target, "state": "drain", "reason": "new kernel"}})
        await client.ask({"verb": "weight", "args": {**target, "weight": None}})
    assert operator.asked == [
        ("admin", "inbound", "mx1", AdminState.DRAIN, "new kernel", ME),
        ("weight", "inbound", "mx1", None, "", ME),
    ]


@pytest.mark.parametrize(("person", "who"), [("alice", f"{ME} (alice)"), ("", ME), (ME, ME)])
async def test_who_types_stands_beside_the_user(
    server: ControlServer, operator: FakeOperator, person: str, who: str
) -> None:
    """The user that the kernel knows comes first, whatever else is said."""
    async with talk(server.path) as client:
        await client.ask({"verb": "reload", "for": person})
    assert operator.asked == [("reload", who)]


@pytest.mark.parametrize(("name", "who"), [("alice", f"{ME} (alice)"), ("", ME), ("a\nb", ME), ("x" * 65, ME)])
async def test_the_commands_say_who_has_become_another_by_sudo(
    server: ControlServer, operator: FakeOperator, monkeypatch: pytest.MonkeyPatch, name: str, who: str
) -> None:
    """A name that is none is left out, and no reason to do nothing."""
    monkeypatch.setenv("SUDO_USER", name)
    await asyncio.to_thread(call, server.path, "weight", {"pool": "inbound", "member": "mx1", "weight": 5})
    assert operator.asked == [("weight", "inbound", "mx1", 5, "", who)]


async def test_a_refusal_carries_code_message_and_details(server: ControlServer) -> None:
    """What the operator refuses, the client gets to see whole."""
    async with talk(server.path) as client:
        response = await client.ask({"verb": "reload"})
    error = {
        "code": "config",
        "message": "the configuration has errors",
        "details": {"problems": ["dnslb.toml:1: wrong"]},
    }
    assert response == {"v": 1, "ok": False, "error": error}


async def test_a_fault_is_logged_and_not_told(server: ControlServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The client learns that it was a fault of dnslb, the log has the traceback, and the connection goes on."""
    async with talk(server.path) as client:
        code, message = await client.error({"verb": "version"})
        assert (code, "secret" in message) == ("internal", False)
        assert (await client.ask({"verb": "status"}))["ok"]
    assert "a secret detail" in capsys.readouterr().out


async def test_long_responses_arrive_whole(server: ControlServer) -> None:
    """The bound of a line is for requests only."""
    async with talk(server.path) as client:
        response = await client.ask({"verb": "events"})
    assert len(response["result"][0]["text"]) == 200_000


async def test_several_requests_at_once_are_answered_in_order(server: ControlServer) -> None:
    """Lines that arrive together are separate requests; empty lines are none."""
    async with talk(server.path) as client:
        client.writer.write(
            b'{"verb":"status","id":"a"}\n\n \r\n{"verb":"nonsense","id":"b"}\r\n{"verb":"status","id":"c"}\n'
        )
        assert [(await client.response())["id"] for _ in range(3)] == ["a", "b", "c"]


BAD_LINES = {
    b"nonsense": "the line is not JSON in UTF-8",
    b"\xff\xfe": "the line is not JSON in UTF-8",
    b"[" * 60_000: "the line is not JSON in UTF-8",
    b"1" * 60_000: "the line is not JSON in UTF-8",
    b'{"verb": "events", "args": {"since": NaN}}': "NaN is not JSON",
    b'{"verb": "status", "verb": "reload"}': "a key is there twice",
    b"[]": "not a JSON object",
    b"{}": "no verb",
    b'{"verb": 1}': "no verb",
    b'{"verb": "status", "who": "root"}': "unknown field 'who'",
    b'{"verb": "status", "for": 1}': "for is no printable name",
    b'{"verb": "status", "for": "a\\nb"}': "for is no printable name",
    b'{"verb": "status", "for": "' + b"x" * 65 + b'"}': "for is no printable name",
    b'{"verb": "status", "args": []}': "args is not an object",
    b'{"verb": "status", "v": 2}': "protocol version 1",
    b'{"verb": "status", "v": true}': "protocol version 1",
    b'{"verb": "status", "id": 1.5}': "id is neither",
    b'{"verb": "status", "id": "' + b"x" * 65 + b'"}': "id is neither",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:24].decode("ascii", "replace"))
async def test_a_bad_line_gets_invalid_and_the_connection_goes_on(server: ControlServer, line: bytes) -> None:
    """Each is told what is wrong, and the next line is read as if nothing had been."""
    async with talk(server.path) as client:
        code, message = await client.error(line)
        assert code == "invalid"
        assert BAD_LINES[line] in message
        assert (await client.ask({"verb": "status"}))["ok"]


async def test_a_bad_request_is_answered_under_its_id(server: ControlServer) -> None:
    """A client that has several requests under way can tell which was wrong."""
    async with talk(server.path) as client:
        assert (await client.ask({"verb": "status", "id": 9, "extra": 1}))["id"] == 9


async def test_a_line_of_the_greatest_length_is_read(server: ControlServer) -> None:
    """The bound is that of PROTOCOL.md to the octet."""
    request = b'{"verb":"status"}'
    async with talk(server.path) as client:
        assert (await client.ask(request + b" " * (MAX_LINE - len(request))))["ok"]
        code, _message = await client.error(request + b" " * (MAX_LINE + 1 - len(request)))
        assert code == "too_large"
        assert await client.is_closed()


async def test_a_line_without_end_is_cut_off(server: ControlServer) -> None:
    """The server does not keep more than the bound, and says so before it closes."""
    async with talk(server.path) as client:
        client.writer.write(b"x" * (MAX_LINE + 2))
        assert (await client.response())["error"]["code"] == "too_large"
        assert await client.is_closed()


async def test_half_a_line_is_no_request(server: ControlServer, operator: FakeOperator) -> None:
    """A client that dies while it writes has asked for nothing."""
    async with talk(server.path) as client:
        client.writer.write(b'{"verb":"admin","args":{"pool":"inbound","member":"mx1","state":"drain"}}')
        client.writer.write_eof()
        assert await client.is_closed()
    assert operator.asked == []


async def test_a_client_that_goes_before_its_response_does_no_harm(
    server: ControlServer, operator: FakeOperator
) -> None:
    """The response has nowhere to go; the server serves the next."""
    operator.go_on.clear()
    async with talk(server.path) as client:
        client.writer.write(b'{"verb":"status"}\n')
        await operator.begun.wait()
    operator.go_on.set()
    async with talk(server.path) as client:
        assert (await client.ask({"verb": "status"}))["ok"]


async def test_a_client_that_says_nothing_is_closed(tmp_path: Path, operator: FakeOperator) -> None:
    """Idle connections end by themselves, and so do those that send half a line and wait."""
    server = await ControlServer.start(tmp_path / "c.sock", operator, idle=0.05)
    async with talk(server.path) as silent, talk(server.path) as slow:
        slow.writer.write(b'{"verb":')
        assert await silent.is_closed()
        assert await slow.is_closed()
    await server.close()


async def test_a_client_that_does_not_read_is_closed(tmp_path: Path, operator: FakeOperator) -> None:
    """Responses that are not taken do not pile up: the server gives up on the connection."""
    server = await ControlServer.start(tmp_path / "c.sock", operator, idle=0.05)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path))
        client.sendall(b'{"verb":"events"}\n' * 100)
        await operator.asked_once.wait()
        while server.connections:  # noqa: ASYNC110 -- the end of a connection has no event of its own
            await asyncio.sleep(0.01)
    assert len(operator.asked) < 100
    await server.close()


async def test_too_many_clients_are_turned_away(server: ControlServer) -> None:
    """Of 100 connections 64 are served and the others told so at once; when they end there is room again."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(talk(server.path)) for _ in range(100)]
        served, turned_away = clients[: server_module.MAX_CONNECTIONS], clients[server_module.MAX_CONNECTIONS :]
        for client in turned_away:
            assert (await client.response())["error"]["code"] == "refused"
            assert await client.is_closed()
        for client in served:
            assert (await client.ask({"verb": "status"}))["ok"]
    while server.connections:  # noqa: ASYNC110 -- the end of a connection has no event of its own
        await asyncio.sleep(0.01)
    async with talk(server.path) as client:
        assert (await client.ask({"verb": "status"}))["ok"]


async def test_the_socket_is_for_its_owner_alone(server: ControlServer) -> None:
    """Mode 0600 on the socket, 0700 on a directory that was made for it, and the umask as before."""
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
    before = os.umask(0o022)
    os.umask(before)
    assert before != 0o177


async def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path, operator: FakeOperator) -> None:
    """A killed daemon leaves its file; the next one starts all the same."""
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await ControlServer.start(path, operator)
    async with talk(path) as client:
        assert (await client.ask({"verb": "status"}))["ok"]
    await server.close()
    assert not path.exists()


async def test_a_socket_that_somebody_listens_on_is_left_alone(server: ControlServer, operator: FakeOperator) -> None:
    """The error says so, and the other daemon goes on."""
    with pytest.raises(ControlError, match="another dnslb listens on the control socket"):
        await ControlServer.start(server.path, operator)
    async with talk(server.path) as client:
        assert (await client.ask({"verb": "status"}))["ok"]


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path, operator: FakeOperator) -> None:
    """Somebody's file is not removed."""
    (tmp_path / "c.sock").write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        await ControlServer.start(tmp_path / "c.sock", operator)
    assert (tmp_path / "c.sock").read_text() == "precious"


async def test_a_path_that_is_too_long_is_said_so(tmp_path: Path, operator: FakeOperator) -> None:
    """The kernel's limit is named; a path of exactly that length works."""
    room = 107 - len(os.fsencode(tmp_path)) - 1
    server = await ControlServer.start(tmp_path / ("x" * room), operator)
    await server.close()
    with pytest.raises(ControlError, match=r"108 octets, and the kernel takes at most 107"):
        await ControlServer.start(tmp_path / ("x" * (room + 1)), operator)


async def test_a_place_that_cannot_be_written_is_said_so(operator: FakeOperator) -> None:
    """The error says what to do."""
    with pytest.raises(ControlError, match=r"cannot make the control socket .*make its directory writable"):
        await ControlServer.start(Path("/proc/dnslb/control.sock"), operator)


async def test_closing_finishes_what_is_in_flight(tmp_path: Path, operator: FakeOperator) -> None:
    """A request that has begun gets its response; connections without one are closed; the file is gone."""
    server = await ControlServer.start(tmp_path / "c.sock", operator)
    operator.go_on.clear()
    async with talk(server.path) as idle, talk(server.path) as busy:
        busy.writer.write(b'{"verb":"status"}\n')
        await operator.begun.wait()
        closing = asyncio.create_task(server.close())
        assert await idle.is_closed()
        assert not server.path.exists()
        operator.go_on.set()
        assert (await busy.response())["ok"]
        assert await busy.is_closed()
        await closing


async def test_closing_does_not_wait_for_ever(
    tmp_path: Path, operator: FakeOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that does not end is cut off after the grace."""
    monkeypatch.setattr(server_module, "GRACE", 0.05)
    server = await ControlServer.start(tmp_path / "c.sock", operator)
    operator.go_on.clear()
    async with talk(server.path) as client:
        client.writer.write(b'{"verb":"status"}\n')
        await operator.begun.wait()
        await server.close()
        assert await client.is_closed()


async def test_closing_leaves_the_socket_of_a_successor(server: ControlServer, operator: FakeOperator) -> None:
    """Only the file that this server made is removed."""
    server.path.unlink()
    successor = await ControlServer.start(server.path, operator)
    await server.close()
    assert server.path.exists()
    await successor.close()
