"""What a worker does under floods: bounded memory, every datagram counted, and good questions answered beside them."""

import asyncio
import os
import resource
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from itertools import cycle, islice
from pathlib import Path
from random import Random

import pytest

from dnslb.answer import tally
from dnslb.answer.tally import Cut
from dnslb.answer.terms import Limit, Terms
from dnslb.answer.views import views_of
from dnslb.server import sockets
from dnslb.server.sockets import WorkerSockets
from dnslb.server.supervisor import Supervisor
from dnslb.wire.header import Rcode
from dnslb.wire.query import MAX_QUERY, Drop
from tests.conftest import question, snapshot, zone
from tests.server.conftest import framed, identity_of

EXEMPT = views_of({"exempt": [ip_network("127.0.0.0/24")]})
SNAPSHOT = replace(
    snapshot(zone("www A 192.0.2.1\n*.wild A 192.0.2.2")),
    terms=Terms(secrets=(bytes(16),), limit=Limit(per_second=200, slip=2, exempt=EXEMPT)),
)
GOOD = question("www.lb.test A")


@dataclass
class Served:
    """A worker on a loopback port."""

    rows: list[WorkerSockets]
    address: tuple[str, int]

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.rows, lambda _: None, lambda: None)

    @property
    def slots(self) -> memoryview:
        """What it counts over UDP."""
        return self.supervisor.counters()[0][1].udp

    @property
    def closed(self) -> dict[str, int]:
        """The TCP connections that it has closed, by reason."""
        slots = self.supervisor.counters()[0][1].tcp
        return {reason: slots[slot] for slot, reason in tally.closed_labels()}

    @property
    def lost(self) -> int:
        """What found no room in its receive buffer."""
        return sockets.lost_datagrams(self.rows)

    def memory(self) -> int:
        """Return the octets of its memory that are not on disk or shared."""
        pages = Path(f"/proc/{self.supervisor.pids[0]}/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * resource.getpagesize()

    def client(self, host: str = "127.0.0.1", seconds: float = 20) -> socket.socket:
        """Return a UDP client with an address of its own, connected to the worker."""
        client = socket.socket(type=socket.SOCK_DGRAM)
        client.settimeout(seconds)
        client.bind((host, 0))
        client.connect(self.address)
        return client


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Give a worker that answers, and end it after the test."""
    groups = sockets.open_all([(ip_address("127.0.0.1"), 0)], 1, shared=False)
    rows = sockets.divide(groups, 1)
    served = Served(rows, ("127.0.0.1", groups[0].port))
    try:
        await served.supervisor.start(SNAPSHOT)
        yield served
    finally:
        await served.supervisor.stop()
        os.close(served.supervisor.counters()[0][1].fd)
        for sock in (*rows[0].udp, *rows[0].tcp):
            sock.close()


def repeatable(seed: int) -> Random:
    """Return random numbers that are the same each time."""
    return Random(seed)  # noqa: S311 - a flood that can be repeated is no secret


def flood(served: Served, messages: Iterator[bytes], clients: list[socket.socket], number: int) -> None:
    """Send messages from these clients in turn, no faster than they are counted; what comes back is not read."""
    counted = sum(served.slots)
    for first in range(0, number, 500):
        for message, client in zip(islice(messages, 500), cycle(clients), strict=False):
            client.send(message)
        while sum(served.slots) < counted + first + 500:
            time.sleep(0.0005)


def subdomains(random: Random) -> Iterator[bytes]:
    """Yield questions for names that nobody has asked for before, half of them below a wildcard, half with a cookie."""
    plain, optional = question("x" * 16 + ".lb.test A"), question("x" * 16 + ".wild.lb.test A", payload=1232)
    optional = optional[:-2] + b"\x00\x0c\x00\x0a\x00\x08"
    while True:
        label = random.randbytes(8).hex().encode()
        yield plain.replace(b"x" * 16, label)
        yield optional.replace(b"x" * 16, label) + label[:8]


@pytest.mark.timeout(300)
async def test_made_up_names_and_addresses_take_no_memory(served: Served) -> None:
    """A flood of 300,000 queries for random subdomains is counted one by one and leaves nothing.

    Nine of ten come in the name of a victim, the others from 500 networks.
    """
    with ExitStack() as stack:
        hosts = [f"127.{1 + number // 250}.{number % 250}.1" for number in range(500)]
        victim, *others = [stack.enter_context(served.client(host)) for host in ("127.8.0.1", *hosts)]
        clients = [client for other in others for client in (*[victim] * 9, other)]
        names = subdomains(repeatable(1))
        await asyncio.to_thread(flood, served, names, clients, 20_000)
        before = served.memory()
        await asyncio.to_thread(flood, served, names, clients, 300_000)
        assert served.memory() - before < 2 << 20
    assert (sum(served.slots), served.lost) == (320_000, 0)
    assert served.slots[tally.RATE_LIMITED]
    assert served.slots[tally.TRUNCATED]


def malformed(random: Random) -> Iterator[bytes]:
    """Yield what is not a question: too short or too long, a response, cut, padded, of odd counts, of any octets."""
    good = question("www.lb.test A", identity=0xFFFF, payload=1232)
    response = good[:2] + b"\x80" + good[3:]
    pointing = good[:12] + b"\xc0\x0c" * 60 + good[-15:]
    while True:
        yield random.randbytes(random.randrange(12))
        yield response + random.randbytes(random.randrange(40))
        yield good[: random.randrange(12, len(good))]
        yield good + random.randbytes(random.randrange(1, 600))
        yield good[:2] + b"\x28" + good[3:]
        yield good[:4] + random.randbytes(8) + good[12:]
        yield pointing
        yield b"\xff\xff\x01\x00" + random.randbytes(random.randrange(8, 300))
        yield good.ljust(MAX_QUERY + random.randrange(1, 100), b"\0")


def ask_beside(served: Served, rubbish: Iterator[bytes], number: int) -> tuple[set[int], set[int]]:
    """Send good questions, and 20 messages of rubbish before each; return the ids that were answered.

    First those of the good questions, then those of the rubbish.
    """
    answered: list[bytes] = []
    with served.client() as good, served.client() as bad:
        bad.settimeout(0)
        for identity in range(number):
            for message in islice(rubbish, 20):
                bad.send(message)
            good.send(identity.to_bytes(2, "big") + GOOD[2:])
            answered += waiting(good)
        counted = 21 * number
        while sum(served.slots) + served.lost < counted:
            time.sleep(0.001)
        answered += waiting(good)
        return {identity_of(each) for each in answered}, {identity_of(each) for each in waiting(bad)}


def waiting(client: socket.socket) -> list[bytes]:
    """Return what a client has received."""
    found = []
    while client in select.select([client], [], [], 0)[0]:
        found.append(client.recv(5000))
    return found


async def test_good_questions_are_answered_beside_malformed_ones(served: Served) -> None:
    """All of them, but for those that the kernel says it has dropped; every datagram is counted under one reason."""
    good, _ = await asyncio.to_thread(ask_beside, served, malformed(repeatable(2)), 3000)
    slots = served.slots
    assert len(good) >= 3000 - served.lost
    assert sum(slots) + served.lost == 21 * 3000
    assert slots[tally.INTERNAL] == 0
    assert all(slots[tally.dropped(reason)] for reason in Drop)
    assert slots[tally.answered(0, Rcode.FORMERR)]


async def test_responses_are_never_answered(served: Served) -> None:
    """Whatever else their headers say: else two servers would talk to each other for ever."""
    random = repeatable(3)
    with served.client() as client:
        for _ in range(1000):
            flags = (0x8000 | random.getrandbits(15)).to_bytes(2, "big")
            client.send(random.choice((b"\0\1" + flags + GOOD[4:], b"\0\1" + flags + random.randbytes(50))))
        client.send(b"\0\2" + GOOD[2:])
        assert identity_of(client.recv(2000)) == 2
        assert not waiting(client)
    assert (served.slots[tally.dropped(Drop.RESPONSE)], sum(served.slots)) == (1000, 1001)


@pytest.fixture
def descriptors() -> Iterator[int]:
    """Give as many file descriptors as this process may have, up to what 10,000 connections take."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 11_000 if most == resource.RLIM_INFINITY else min(most, 11_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, wanted), most))
    yield wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def crowd(served: Served, number: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections from 40 addresses that never send anything; ask over UDP, and see the answer, between a few."""
    resolver = stack.enter_context(served.client())
    opened = []
    for place in range(number):
        source = (f"127.9.0.{1 + place % 40}", 0)
        opened.append(stack.enter_context(socket.create_connection(served.address, 20, source)))
        if place % 8 == 0:
            identity = (place % 65536).to_bytes(2, "big")
            resolver.send(identity + GOOD[2:])
            assert resolver.recv(2000)[:2] == identity
    return opened


async def test_ten_thousand_idle_tcp_clients_are_no_harm(served: Served, descriptors: int) -> None:
    """UDP answers while they come and are there, and so does TCP, for a new client and for one of theirs."""
    number = descriptors - 1000
    with ExitStack() as stack:
        opened = await asyncio.to_thread(crowd, served, number, stack)
        for source in ("127.0.0.1", "127.9.0.1"):
            client = stack.enter_context(socket.create_connection(served.address, 20, (source, 0)))
            client.sendall(framed(GOOD))
            assert client.recv(2, socket.MSG_WAITALL)
        opened[-1].sendall(framed(GOOD))
        assert opened[-1].recv(2, socket.MSG_WAITALL)
    assert served.closed[Cut.TOTAL_LIMIT.value] == max(0, number + 2 - 512)
    assert served.lost == 0
