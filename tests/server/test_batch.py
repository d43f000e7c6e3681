"""The system calls: which datagrams come back, from where, and what one that cannot be sent does to the others."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from dnslb.server.batch import SIZE, Batch, ask_for_destination
from dnslb.wire.query import MAX_QUERY
from tests.server.conftest import ENGINES, fill, in_c, local

if TYPE_CHECKING:
    from dnslb.server import _batch as fast


@contextmanager
def bound(host: str) -> Iterator[socket.socket]:
    """Give a UDP socket on a free port of the host; it has asked where datagrams are sent to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        ask_for_destination(sock)
        sock.bind((host, 0))
        yield sock


@contextmanager
def asking(host: str) -> Iterator[socket.socket]:
    """Give a client on the host; waiting for what never comes fails after ten seconds."""
    with bound(host) as sock:
        sock.settimeout(10)
        yield sock


def port_of(sock: socket.socket) -> int:
    """Return the port of a bound socket."""
    port: int = sock.getsockname()[1]
    return port


def shouted(query: bytes, _client: bytes) -> bytes:
    """Answer in upper case."""
    return query.upper()


Answer = Callable[[bytes, bytes], bytes | None]
Exchange = Callable[[Answer], int]
"""Answers what is waiting, one by one; returns how many datagrams there were."""
_UNSENT = 1
"""The slot of what the kernel did not take. Slot 0 is for all else."""


class On(Protocol):
    """Makes the exchange of a bound socket, which counts in those slots, if anybody wants to know."""

    def __call__(self, sock: socket.socket, slots: memoryview = ...) -> Exchange: ...  # noqa: D102 - said above


def two_slots() -> memoryview:
    """Return counters."""
    return memoryview(bytearray(16)).cast("Q")


_NOBODY_LOOKS = two_slots()


def by_lists(batch: "Batch | fast.Batch") -> Exchange:
    """Take all datagrams and then send all answers."""

    def exchange(answer: Answer) -> int:
        number = batch.receive()
        queries, clients = batch.datagrams()
        assert clients == [batch.client(place) for place in range(number)]
        batch.send([answer(query, client) for query, client in zip(queries, clients, strict=True)])
        return number

    return exchange


def one_by_one(batch: "fast.Batch") -> Exchange:
    """Let the extension ask for one answer after the other: it knows none itself."""

    def exchange(answer: Answer) -> int:
        number = batch.receive()
        batch.answer({}, {}, {}, lambda query, client: (answer(query, client), 0))
        return number

    return exchange


WAYS: dict[str, On] = {
    "Python": lambda sock, slots=_NOBODY_LOOKS: by_lists(Batch(sock, slots, _UNSENT)),
    "C, lists": lambda sock, slots=_NOBODY_LOOKS: by_lists(in_c(sock, slots)),
    "C": lambda sock, slots=_NOBODY_LOOKS: one_by_one(in_c(sock, slots)),
}


@pytest.fixture(params=[way for way in WAYS if way.split(",")[0] in ENGINES])
def on(request: pytest.FixtureRequest) -> On:
    """Give what makes the exchange of a socket: all that is true here is true of each."""
    return WAYS[request.param]


def nothing_waits(sock: socket.socket) -> bool:
    """Say whether no datagram is there. On loopback what was sent has arrived."""
    return not select.select([sock], [], [], 0)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_full_batch_is_answered_each_to_its_own_sender(on: On, host: str) -> None:
    """64 datagrams from 64 sockets come back each to its socket, in one exchange, over IPv4 and IPv6."""
    with ExitStack() as stack:
        server = stack.enter_context(bound(host))
        clients = [stack.enter_context(asking(host)) for _ in range(SIZE)]
        for number, client in enumerate(clients):
            client.sendto(b"q%d" % number, server.getsockname())

        assert on(server)(shouted) == SIZE

        for number, client in enumerate(clients):
            assert client.recvfrom(100) == (b"Q%d" % number, server.getsockname())


def test_what_is_beyond_a_batch_waits_for_the_next(on: On) -> None:
    """With 70 datagrams waiting an exchange takes 64, the next one 6, and the one after that none."""
    with bound("127.0.0.1") as server, asking("127.0.0.1") as client:
        for number in range(70):
            client.sendto(b"%d" % number, server.getsockname())
        exchange = on(server)

        assert [exchange(shouted) for _ in range(3)] == [64, 6, 0]
        assert [client.recv(100) for _ in range(70)] == [b"%d" % number for number in range(70)]


@pytest.mark.parametrize(("host", "octets"), [("127.0.0.9", bytes([127, 0, 0, 9])), ("::1", bytes(15) + b"\x01")])
def test_the_senders_address_is_told_as_octets(on: On, host: str, octets: bytes) -> None:
    """What comes with a datagram is the address alone: 4 octets, or 16."""
    told: list[bytes] = []

    def answer(query: bytes, client: bytes) -> bytes:
        told.append(client)
        return query

    with bound("::1" if ":" in host else "127.0.0.1") as server, asking(host) as client:
        client.sendto(b"x", server.getsockname())
        on(server)(answer)
    assert told == [octets]


@pytest.mark.parametrize(
    ("everywhere", "asked"),
    [("0.0.0.0", "127.0.0.5"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")],  # noqa: S104 - loopback is asked
)
def test_a_wildcard_socket_answers_from_the_address_that_was_asked(on: On, everywhere: str, asked: str) -> None:
    """A resolver takes an answer only from where it asked; the kernel alone would choose 127.0.0.1 for all."""
    with bound(everywhere) as server, asking("::1" if ":" in asked else "127.0.0.1") as client:
        client.sendto(b"x", (asked, port_of(server)))
        on(server)(shouted)
        assert client.recvfrom(100)[1][:2] == (asked, port_of(server))


def test_a_wildcard_socket_tells_the_addresses_of_one_batch_apart(on: On) -> None:
    """Queries to several addresses of ours in one batch are each answered from their own, also in later batches."""
    with bound("0.0.0.0") as server, asking("127.0.0.1") as client:  # noqa: S104 - loopback is asked
        exchange = on(server)
        for first in (1, 101):
            hosts = [f"127.0.0.{number}" for number in range(first, first + 20)]
            for host in hosts:
                client.sendto(host.encode(), (host, port_of(server)))
            assert exchange(shouted) == 20
            answers = dict(client.recvfrom(100) for _ in hosts)
            assert answers == {host.encode(): (host, port_of(server)) for host in hosts}


@pytest.mark.parametrize("everywhere", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - loopback is asked
def test_a_datagram_without_an_answer_does_not_disturb_its_neighbours(on: On, everywhere: str) -> None:
    """Where there is None nothing is sent, and all others get their own answer."""
    silent = {b"0", b"3", b"4", b"9"}

    def answer(query: bytes, _client: bytes) -> bytes | None:
        return None if query in silent else query * 2

    with bound(everywhere) as server, asking("127.0.0.1") as client:
        for number in range(10):
            client.sendto(b"%d" % number, ("127.0.0.1", port_of(server)))
        on(server)(answer)

        assert [client.recv(100) for _ in range(6)] == [b"11", b"22", b"55", b"66", b"77", b"88"]
        assert nothing_waits(client)


def test_an_answer_that_cannot_be_sent_costs_only_itself(on: On) -> None:
    """The kernel sends nothing to IPv4 from a socket that is for IPv6 alone; the others get their answers."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server, bound("::1") as other, ExitStack() as stack:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 0))
        clients = {host: stack.enter_context(asking(host)) for host in ("127.0.0.1", "::1")}
        slots = two_slots()
        exchange = on(server, slots)
        for number in range(10):
            host = "127.0.0.1" if number in {0, 4, 5, 9} else "::1"
            clients[host].sendto(b"%d" % number, (host, port_of(server)))

        def answer(query: bytes, _client: bytes) -> bytes:
            os.dup2(other.fileno(), server.fileno())
            return query

        assert exchange(answer) == 10
        assert [clients["::1"].recv(100) for _ in range(6)] == [b"1", b"2", b"3", b"6", b"7", b"8"]
        assert nothing_waits(clients["127.0.0.1"])
        assert nothing_waits(clients["::1"])
    assert slots[_UNSENT] == 4


@pytest.mark.parametrize("answered", range(6))
def test_where_there_is_no_room_for_one_the_rest_waits_for_none(on: On, answered: int) -> None:
    """They have the same buffer: to try each of 64 would cost 64 system calls. All are counted but what is silent.

    With local sockets there can be room for one client and none for another, so that it is seen who was tried.
    """
    with local() as server, local() as full, local() as free:
        slots = two_slots()
        exchange = on(server, slots)
        for place in range(6):
            (full if place == answered else free).sendto(b"%d" % place, server.getsockname())
        fill(full)
        assert exchange(lambda query, _: None if query in {b"1", b"3"} and query != b"%d" % answered else query) == 6
        taken = []
        while not nothing_waits(free):
            taken.append(free.recv(100))
    sent = [place for place in range(6) if place not in {1, 3} or place == answered]
    assert taken == [b"%d" % place for place in sent if place < answered]
    assert slots[_UNSENT] == len(sent) - len(taken)


def test_a_client_that_is_gone_does_not_disturb_later_batches(on: On) -> None:
    """The ICMP error for an answer to a closed port neither fails a later receive nor a later answer."""
    with bound("127.0.0.1") as server, asking("127.0.0.1") as client:
        exchange = on(server)
        with asking("127.0.0.1") as gone:
            gone.sendto(b"gone", server.getsockname())
        assert exchange(shouted) == 1
        client.sendto(b"here", server.getsockname())
        assert exchange(shouted) == 1
        assert client.recv(100) == b"HERE"


def test_a_datagram_longer_than_the_buffer_is_still_seen_to_be_too_long(on: On) -> None:
    """What is cut is longer than any query may be, so it cannot be taken for a whole message."""
    lengths: list[int] = []

    def answer(query: bytes, _client: bytes) -> None:
        lengths.append(len(query))

    with bound("127.0.0.1") as server, asking("127.0.0.1") as client:
        for length in (MAX_QUERY, MAX_QUERY + 1, 60_000, 5, 0):
            client.sendto(b"x" * length, server.getsockname())
        on(server)(answer)
    assert lengths[0] == MAX_QUERY
    assert min(lengths[1:3]) > MAX_QUERY
    assert lengths[3:] == [5, 0]


def test_an_idle_socket_is_not_waited_for(on: On) -> None:
    """Without a datagram an exchange returns at once, though the socket is in blocking mode."""
    with bound("127.0.0.1") as server:
        assert server.getblocking()
        assert on(server)(shouted) == 0
