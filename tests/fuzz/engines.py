"""Both engines are asked the same: whether they say the same, and leave the same behind."""

from __future__ import annotations

import pickle
import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from dnslb.answer import tally
from dnslb.answer.askers import Askers, beginning
from dnslb.answer.snapshot import Change, Snapshot, made_ready
from dnslb.answer.terms import Limit, Terms
from dnslb.answer.turns import Turns
from dnslb.server.current import Current
from dnslb.server.reports import Reports
from dnslb.server.udp import UdpServer
from dnslb.wire import cookie, rrtype
from dnslb.wire.edns import opt_record, with_option
from dnslb.wire.name import from_text
from tests.conftest import compiled
from tests.fuzz.corpus import CORPUS
from tests.fuzz.queries import changed, query
from tests.fuzz.table import NAMES, NOW, SECRETS, SNAPSHOT, WORLD
from tests.server.conftest import ENGINES, choose
from tests.server.conftest import query as question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

TERMS = {"no limit": Terms(secrets=SECRETS), "a limit": Terms(secrets=SECRETS, limit=Limit(per_second=20, slip=2))}
_OTHER = compiled(WORLD, generation=2)
"""Nobody is down."""
CLIENTS = {"127.0.0.1": ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"), "::1": ("::1",)}
"""By the server's address. Of those of IPv4 the second is in a view, and the third is believed for whom it asks."""
_SERVICES = tuple(from_text(f"{name}.lb.test") for name in ("mx", "mail", "hash", "gone", "static", "_submission._tcp"))
_TYPES = (rrtype.A, rrtype.AAAA, rrtype.MX, rrtype.SRV, 16, 65)
_LABELS = (b"\1x", b"\3WwW", b"\1*", b"\x3f" + b"y" * 63, b"\x40z", b"\1\0")
_AGES = (0, 0, 0, 0, 1000, 2000, 5000)
_SHAPES = ((b"", 0), *((b"\0", size) for size in (1, 9, 11, 12, 4096)))


@dataclass(slots=True)
class Side:
    """One engine with all that it reads and changes."""

    sock: socket.socket
    current: Current
    slots: memoryview
    server: UdpServer

    def state(self) -> tuple[object, ...]:
        """Return what it leaves behind."""
        return list(self.slots), self.current.turns.taken, self.current.cookies.known, self.current.limit.watched


@contextmanager
def side(engine: str, host: str, of: Snapshot) -> Iterator[Side]:
    """Give an engine that answers on an address from a table of its own."""
    with pytest.MonkeyPatch.context() as patch, bound(host) as sock:
        choose(engine, patch)
        # Changes of its names are made in place.
        own = made_ready(pickle.loads(pickle.dumps(replace(of, ready={}))))  # noqa: S301 - our own
        current = Current(own, Turns(3, limit=40), Askers(beginning(0.0)), Reports(), NOW)
        slots = memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
        yield Side(sock, current, slots, UdpServer(sock, current, slots))


@contextmanager
def bound(host: str) -> Iterator[socket.socket]:
    """Give a UDP socket on a free port of the host."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((host, 0))
        yield sock


def received(sock: socket.socket) -> Iterator[tuple[bytes, object]]:
    """Yield what has come: on loopback what was sent is there."""
    while True:
        try:
            yield sock.recvfrom(2000, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return


def asked(random: Random, client: str) -> bytes:
    """Return what a client sends: mostly what the fast way is for, or that with a change, or anything."""
    chance = random.random()
    if chance < 0.15:
        return query(random)
    if chance < 0.3:
        return changed(random, random.choice(CORPUS)[1], random.choice(CORPUS)[1])
    if chance < 0.4:
        shape, size = random.choice(_SHAPES)
        return shape * size
    sound = _sound(random, client)
    return changed(random, sound, random.choice(CORPUS)[1]) if chance < 0.55 else sound


def _sound(random: Random, client: str) -> bytes:
    owner = random.choice(_SERVICES if random.random() < 0.6 else NAMES)
    if random.random() < 0.2:
        owner = random.choice(_LABELS) * random.choice((1, 1, 2, 50)) + owner
    qname = bytes(octet ^ 32 if octet > 64 and random.random() < 0.3 else octet for octet in owner)
    plain = bytearray(question(random.getrandbits(16), qname, random.choice(_TYPES)))
    plain[2], plain[3] = random.choice((0, 1, 1, 2, 4, 7, 8, 0x80)), random.choice((0, 0x10, 0x20, 0xFF))
    if random.random() < 0.2:
        return bytes(plain)
    plain[11] = random.choice((1, 1, 1, 1, 1, 1, 0, 2))
    return bytes(plain) + _opt(random, client)


def _opt(random: Random, client: str) -> bytes:
    opt = bytearray(opt_record(dnssec_ok=random.random() < 0.5))
    opt[3:5] = random.choice((0, 100, 511, 512, 513, 1231, 1232, 1233, 4096, 65535)).to_bytes(2, "big")
    if random.random() < 0.1:
        opt[random.randrange(len(opt))] ^= 1 << random.randrange(8)
    if random.random() < 0.5:
        return bytes(opt)
    address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
    made = cookie.make(bytes(8), address, random.choice(SECRETS), NOW - random.choice(_AGES))
    opt[3:5] = b"\x04\xd0"
    return with_option(bytes(opt), cookie.option(made if random.random() < 0.8 else made[: random.randrange(25)]))


def exchange(sides: list[Side], clients: dict[str, socket.socket], random: Random) -> None:
    """Have each side answer the same datagrams from the same addresses, and compare all that comes of it."""
    for _ in range(random.choice((1, 2, 24))):
        host, client = random.choice(list(clients.items()))
        message = asked(random, host)
        for one in sides:
            client.sendto(message, one.sock.getsockname())
    for one in sides:
        one.server.burst()
    by_port: dict[tuple[str, object], list[bytes]] = {}
    for host, client in clients.items():
        for response, sender in received(client):
            by_port.setdefault((host, sender), []).append(response)
    first, second = sides
    for host in clients:
        told = [by_port.get((host, one.sock.getsockname()), []) for one in sides]
        assert told[0] == told[1]
    assert first.state() == second.state()


def change(random: Random, generation: int) -> Change | Snapshot:
    """Return the next table, or what of it is another one than before."""
    after = random.choice((SNAPSHOT, _OTHER))
    if random.random() < 0.3:
        return replace(after, generation=generation, ready={}, terms=random.choice(list(TERMS.values())))
    return Change(generation, {owner: after.names[owner] for owner in _SERVICES}, {})


def compare(host: str, terms: Terms, random: Random, rounds: int) -> None:
    """Have two engines answer the same, and compare. Where there is no extension this compares Python with itself."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(time, "monotonic", lambda: 100.0)
        of = replace(SNAPSHOT, terms=terms)
        sides = [stack.enter_context(side(engine, host, of)) for engine in (ENGINES[0], ENGINES[-1])]
        clients = {client: stack.enter_context(bound(client)) for client in CLIENTS[host]}
        for generation in range(rounds):
            if random.random() < 0.2:
                octets = pickle.dumps(change(random, generation))
                for one in sides:
                    one.current.adopt(pickle.loads(octets))  # noqa: S301 - our own
            exchange(sides, clients, random)
