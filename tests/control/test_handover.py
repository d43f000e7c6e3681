"""What two daemons say to each other when one takes the place of the other, over a real Unix socket."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dnslb.control.client import DaemonUnreachable
from dnslb.control.handover import Given, Predecessor, Successor
from dnslb.control.protocol import Code, Refused
from dnslb.control.server import ControlServer, bind
from tests.control.test_server import FakeOperator, talk


class Old:
    """A daemon at a control socket, and who wants its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: ControlServer | None = None
        self.successors: asyncio.Queue[Successor] = asyncio.Queue()

    async def open(self) -> None:
        """Listen."""
        self.server = await ControlServer.start(self.path, FakeOperator(), succeed=self.successors.put_nowait)


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Old]:
    """Give a daemon that hands over to anybody."""
    made = Old(tmp_path / "c.sock")
    await made.open()
    yield made
    assert made.server is not None
    await made.server.close()


async def test_facts_and_sockets_arrive_in_their_order(old: Old) -> None:
    """However many: the kernel takes a few hundred descriptors in one message."""
    given = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(450)]
    for sock in given:
        sock.bind(("127.0.0.1", 0))
    predecessor = Predecessor.at(old.path)
    taking = asyncio.create_task(asyncio.to_thread(predecessor.take, {"state": "here"}))
    successor = await old.successors.get()
    assert (successor.args, successor.pid, successor.uid) == ({"version": 1, "state": "here"}, os.getpid(), os.getuid())
    await successor.give(Given({"what": "x" * 100_000}, tuple(given)))
    taken = await taking
    try:
        assert taken.facts == {"what": "x" * 100_000}
        assert [sock.getsockname() for sock in taken.sockets] == [sock.getsockname() for sock in given]
        assert not any(sock.get_inheritable() for sock in taken.sockets)
    finally:
        for sock in (*given, *taken.sockets):
            sock.close()
    answering = asyncio.create_task(successor.answers())
    dismissing = asyncio.create_task(predecessor.dismiss())
    assert await answering
    assert not dismissing.done()
    successor.close()
    await dismissing


async def test_who_closes_the_connection_has_gone(old: Old) -> None:
    """The old daemon hears of it while it waits, and the new one while it asks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        await asyncio.to_thread(client.connect, str(old.path))
        client.sendall(b'{"verb":"replace"}\n')
        successor = await old.successors.get()
    assert not await successor.answers()
    successor.close()
    taking = asyncio.create_task(asyncio.to_thread(Predecessor.at(old.path).take, {}))
    (await old.successors.get()).close()
    with pytest.raises(DaemonUnreachable, match="closed the connection without an answer"):
        await taking


async def test_a_refusal_is_an_answer_like_any_other(tmp_path: Path) -> None:
    """Also to a client that speaks the protocol by hand; it may ask for other things then."""
    server = await ControlServer.start(tmp_path / "c.sock", FakeOperator())
    with pytest.raises(Refused, match="is not replaced while it runs") as refused:
        await asyncio.to_thread(Predecessor.at(server.path).take, {})
    assert refused.value.code is Code.REFUSED
    async with talk(server.path) as client:
        assert not (await client.ask({"verb": "replace"}))["ok"]
        assert (await client.ask({"verb": "status"}))["ok"]
    await server.close()


async def test_who_connects_to_a_paused_server_waits_for_the_next_one(tmp_path: Path) -> None:
    """It has the same listening socket, and the file is there all the time."""
    path = tmp_path / "c.sock"
    listener = bind(path)
    first = await ControlServer.start(path, FakeOperator(), listener=listener)
    await first.pause()
    async with talk(path) as client:
        client.writer.write(b'{"verb":"status"}\n')
        second = await ControlServer.start(path, FakeOperator(), listener=listener)
        assert (await client.response())["ok"]
    await second.close()
    assert not path.exists()
