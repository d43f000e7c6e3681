"""What the tests of the sockets answer from: a zone whose one address tells the generation, and questions for it."""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from dnslb.answer import tally
from dnslb.answer.askers import Askers, beginning
from dnslb.answer.compiler import Pools, compile_names, compile_world
from dnslb.answer.snapshot import Change, Snapshot
from dnslb.answer.turns import Turns
from dnslb.answer.world import World, build
from dnslb.server import engine
from dnslb.server.batch import is_wildcard
from dnslb.server.current import Current
from dnslb.server.reports import Reports
from dnslb.wire import rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.name import from_text
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone

if TYPE_CHECKING:
    from dnslb.server._batch import Batch

ENGINES = ("Python", "C") if engine.extension() else ("Python",)
"""Those that there are; test_engine.py fails where there must be both."""
APEX = from_text("lb.test")
WWW = from_text("www.lb.test")
LARGE = from_text("large.lb.test")
TXT = 16
ANSWERED_A = tally.answered(rrtype.A, Rcode.NOERROR)
_SOA = (
    from_text("ns.lb.test") + from_text("hostmaster.lb.test") + b"".join(n.to_bytes(4, "big") for n in (1, 2, 3, 4, 5))
)
_LONG_TEXTS = tuple(b"\xc8" + bytes([65 + n]) * 200 for n in range(20))


def _world(generation: int) -> World:
    """Return a world in which www.lb.test has the address 192.0.2.GENERATION, and large.lb.test 4,000 octets."""
    nodes = {
        APEX: {
            rrtype.SOA: RRset(APEX, rrtype.SOA, 30, (_SOA,)),
            rrtype.NS: RRset(APEX, rrtype.NS, 30, (from_text("ns.lb.test"),)),
        },
        WWW: {rrtype.A: RRset(WWW, rrtype.A, 30, (bytes([192, 0, 2, generation]),))},
        LARGE: {TXT: RRset(LARGE, TXT, 30, _LONG_TEXTS)},
    }
    return build([Zone(APEX, nodes)], MappingProxyType({}), ())


def snapshot(generation: int = 1) -> Snapshot:
    """Return a whole table."""
    return compile_world(_world(generation), Pools({}, {APEX: generation}), generation)


def change(generation: int) -> Change:
    """Return what makes any table that of a later generation."""
    return Change(generation, compile_names(_world(generation), [WWW], Pools({}, {APEX: generation})), {})


def query(identity: int = 1, owner: bytes = WWW, rtype: int = rrtype.A, payload: int = 0) -> bytes:
    """Return a query for one name; with EDNS if a payload size is given."""
    opt = b"\x00\x00\x29" + payload.to_bytes(2, "big") + bytes(6) if payload else b""
    counts = b"\x00\x01\x00\x00\x00\x00" + (b"\x00\x01" if opt else b"\x00\x00")
    return identity.to_bytes(2, "big") + b"\x01\x00" + counts + owner + rtype.to_bytes(2, "big") + b"\x00\x01" + opt


def identity_of(response: bytes) -> int:
    """Return the id of a message."""
    return int.from_bytes(response[:2], "big")


def generation_of(response: bytes) -> int:
    """Return the generation that answered a query for www.lb.test without EDNS."""
    assert response[-4:-1] == bytes([192, 0, 2]), response.hex()
    return response[-1]


def framed(message: bytes) -> bytes:
    """Return a message as it goes over TCP."""
    return len(message).to_bytes(2, "big") + message


async def until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as the condition holds; fail if it never does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.01)


def choose(name: str, patch: pytest.MonkeyPatch) -> None:
    """Have sockets that are opened from now on served by one of the engines."""
    patch.setenv(engine.PURE, "1" if name == "Python" else "")


def in_c(sock: socket.socket, counters: memoryview, internal: int = 0, unsent: int = 1) -> "Batch":
    """Give the batch of the C extension."""
    extension = engine.extension()
    assert extension
    return extension(sock.fileno(), sock.family == socket.AF_INET6, is_wildcard(sock), counters, internal, unsent)


def local() -> socket.socket:
    """Return a datagram socket of the machine itself. Its address is as long as one of IPv4.

    Over loopback there is always room to send, and elsewhere nobody knows when: here there is none if nobody reads.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(b"\0" + secrets.token_hex(6).encode() + b"-")
    return sock


def fill(sock: socket.socket) -> None:
    """Send a local socket more than it has room for."""
    with suppress(BlockingIOError):
        while True:
            # Each has a buffer of its own, so that it is the other's that is full.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
                one.sendto(b"x", socket.MSG_DONTWAIT, sock.getsockname())


@pytest.fixture
def current() -> Current:
    """Give a cell that holds generation 1."""
    return Current(snapshot(), Turns(0), Askers(beginning(0.0)), Reports())


@pytest.fixture
def slots() -> memoryview:
    """Give one protocol's counters, all zero."""
    return memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
