"""What the garbage collector looks at, and what takes memory for ever if it never does."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Iterator

import pytest

from dnslb.server import garbage, tcp
from dnslb.server.current import Current
from tests.server.conftest import until


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Have the collector look at everything again after the test."""
    yield
    gc.unfreeze()


async def _transports(connections: tcp.Connections, number: int) -> list[weakref.ref[object]]:
    """Have so many clients come, meet a new snapshot, and go; return what asyncio had of each."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = await tcp.listen(sock, connections)
        writers = [(await asyncio.open_connection(*sock.getsockname()))[1] for _ in range(number)]
        await until(lambda: len(connections._open) == number, "all are there")  # noqa: SLF001 - nothing else needs to know
        garbage.settle(connections)
        of_each = [weakref.ref(connection._transport) for connection in connections._open]  # noqa: SLF001 - as above
        for writer in writers:
            writer.transport.abort()
        await until(lambda: not connections._open, "all are gone")  # noqa: SLF001 - as above
        await server.close()
    return of_each  # type: ignore[return-value]  # there is one while it is open


async def test_connections_that_met_a_snapshot_take_no_memory_for_ever(
    current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport of asyncio points at itself, so that nobody but the collector finds it."""
    monkeypatch.setattr(garbage, "MOST_STRANDED", 2)
    connections = tcp.Connections(current, slots)
    gone = await _transports(connections, 3)
    assert connections.stranded == 3
    garbage.settle(connections)
    assert connections.stranded == 0
    assert not [each for each in gone if each() is not None]


async def test_a_snapshot_is_looked_at_once_for_many_connections(current: Current, slots: memoryview) -> None:
    """To walk through a large one holds up queries: a few kilobytes are no reason for it."""
    connections = tcp.Connections(current, slots)
    await _transports(connections, 1)
    before = gc.get_freeze_count()
    garbage.settle(connections)
    assert connections.stranded == 1
    assert gc.get_freeze_count() >= before
