"""TCP framing without a network: octets go in by any pieces, and what comes out is taken apart and checked."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from random import Random

from dnslb.answer import tally
from dnslb.answer.askers import Askers, beginning
from dnslb.answer.turns import Turns
from dnslb.server.current import Current
from dnslb.server.reports import Reports
from dnslb.server.tcp import Connection, Connections
from tests.fuzz.promises import check, must_be_dropped
from tests.fuzz.table import NOW, SNAPSHOT


class _Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, client: bytes) -> None:
        super().__init__({"peername": (str(ip_address(client)), 53) if client else None})
        self.written = bytearray()
        self.reading, self.closing = True, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close


async def exchange(messages: Sequence[bytes], random: Random, client: bytes) -> None:
    """Send messages in pieces over one connection, some while the client does not read; check what is answered."""
    slots = memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
    current = Current(SNAPSHOT, Turns(0), Askers(beginning(0.0)), Reports(), NOW)
    connection, wire = Connection(Connections(current, slots)), _Wire(client)
    connection.connection_made(wire)
    stream = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
    while stream and not wire.closing:
        size = random.choice((1, 2, 3, 11, 100, 5000, 100_000))
        connection.data_received(stream[:size])
        stream = stream[size:]
        if random.random() < 0.1:
            connection.pause_writing()
            await asyncio.sleep(0)
            connection.resume_writing()
        await _rest(wire)
    connection.connection_lost(None)
    assert not slots[tally.INTERNAL]
    _check(messages, bytes(wire.written), closed=wire.closing)


async def _rest(wire: _Wire) -> None:
    """Return when more may be sent, which it may after a few turns of the event loop."""
    for _ in range(1000):
        if wire.reading or wire.closing:
            return
        await asyncio.sleep(0)
    raise AssertionError("the connection neither reads on nor ends")


def _check(messages: Sequence[bytes], written: bytes, *, closed: bool) -> None:
    """Each message has its answer, in order, up to one that gets none: there the connection ends."""
    for message in messages:
        if must_be_dropped(message):
            assert closed
            break
        size = int.from_bytes(written[:2], "big")
        response, written = written[2 : 2 + size], written[2 + size :]
        assert len(response) == size
        check(message, (response, 0), stream=True)
    else:
        assert not closed
    assert not written
