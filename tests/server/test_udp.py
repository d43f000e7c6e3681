"""Bursts of datagrams between a socket and the snapshot, and what is counted of them."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from dnslb.answer import tally
from dnslb.answer.sketch import Entry
from dnslb.answer.sources import prefix_of
from dnslb.answer.terms import Limit, Terms
from dnslb.server.batch import SIZE
from dnslb.server.current import Current
from dnslb.server.ratelimit import RateLimit
from dnslb.server.udp import UdpServer
from dnslb.wire.header import Rcode
from dnslb.wire.query import MAX_QUERY, Drop
from tests.server.conftest import (
    ANSWERED_A,
    ENGINES,
    LARGE,
    TXT,
    choose,
    fill,
    generation_of,
    identity_of,
    local,
    query,
    snapshot,
)


@pytest.fixture(params=ENGINES, autouse=True)
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is true here is true of both."""
    choose(request.param, monkeypatch)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """Give a bound UDP socket."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@pytest.fixture
def client(sock: socket.socket) -> Iterator[socket.socket]:
    """Give a client of that socket."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(sock.getsockname())
        yield client


def test_a_burst_answers_all_that_waits(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview
) -> None:
    """More than one batch is answered in one call, and each answer is counted by its type and code."""
    for identity in range(SIZE + 36):
        client.send(query(identity))
    UdpServer(sock, current, slots).burst()

    answers = [client.recv(2000) for _ in range(SIZE + 36)]
    assert [identity_of(answer) for answer in answers] == list(range(SIZE + 36))
    assert {generation_of(answer) for answer in answers} == {1}
    assert slots[ANSWERED_A] == sum(slots) == SIZE + 36


def test_answers_for_which_there_is_no_room_are_counted(current: Current, slots: memoryview) -> None:
    """As answered, and as not taken by the kernel, whichever engine answers."""
    with local() as sock, local() as client:
        for identity in range(3):
            client.sendto(query(identity), sock.getsockname())
        fill(client)
        UdpServer(sock, current, slots).burst()
    assert (slots[ANSWERED_A], slots[tally.UNSENT], sum(slots)) == (3, 3, 6)


def test_who_asks_is_noted(sock: socket.socket, current: Current, slots: memoryview) -> None:
    """Each client by its network: alone with its one query, or with its part of a batch, whoever is the first of it."""
    server = UdpServer(sock, current, slots)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)]
        for number, client in enumerate(clients):
            client.bind((f"127.0.{number}.1", 0))
        for _ in range(3):
            clients[1].sendto(query(), sock.getsockname())
            server.burst()
        assert current.askers.summary(1.0).entries == (Entry(b"\x7f\x00\x01", 3, 0),)
        for _ in range(100):
            clients[0].sendto(query(), sock.getsockname())
            clients[1].sendto(query(), sock.getsockname())
            server.burst()
    counts = {entry.prefix: entry.number for entry in current.askers.summary(1.0).entries}
    assert counts == {b"\x7f\x00\x00": 100, b"\x7f\x00\x01": 103}


def test_all_of_a_long_burst_are_noted(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview
) -> None:
    """One of 64 stands for them; who stands for the last 8 here is known with the next long burst."""
    server = UdpServer(sock, current, slots)
    for number in (1, 63, 64, 65, 200, 1):
        for _ in range(number):
            client.send(query())
        server.burst()
    (entry,) = current.askers.summary(1.0).entries
    assert entry.number == 1 + 63 + 64 + 65 + 200 + 1 - 8
    for _ in range(2 * SIZE - 8):
        client.send(query())
    server.burst()
    (entry,) = current.askers.summary(1.0).entries
    assert entry.number == 1 + 63 + 64 + 65 + 200 + 1 - 8 + 2 * SIZE


def test_who_asks_little_is_not_noted_for_the_end_of_a_burst(
    sock: socket.socket, current: Current, slots: memoryview
) -> None:
    """What was left of a long burst is not counted for whoever comes next, perhaps with one query a minute."""
    server = UdpServer(sock, current, slots)
    with ExitStack() as stack:
        much, little = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        much.bind(("127.0.0.1", 0))
        little.bind(("127.0.1.1", 0))
        for _ in range(10):
            for _ in range(SIZE + 36):
                much.sendto(query(), sock.getsockname())
            server.burst()
            little.sendto(query(), sock.getsockname())
            server.burst()
    counts = {entry.prefix: entry.number for entry in current.askers.summary(1.0).entries}
    assert counts[b"\x7f\x00\x01"] == 10
    assert 10 * (SIZE + 36) - SIZE < counts[b"\x7f\x00\x00"] <= 10 * (SIZE + 36)


def test_who_asks_one_after_the_other_is_noted_each_time(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the next query comes before the burst has ended."""
    note, noted = current.askers.note, list[int]()

    def note_and_ask_again(asker: bytes, number: int) -> None:
        noted.append(number)
        note(asker, number)
        if len(noted) < 5:
            client.send(query())

    monkeypatch.setattr(current.askers, "note", note_and_ask_again)
    client.send(query())
    UdpServer(sock, current, slots).burst()
    assert noted == [1] * 5


def test_a_burst_that_takes_long_is_left(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many batches are waiting: the rest comes when others have had their turn."""
    clock = count(0.0, 0.004)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    for _ in range(3 * SIZE):
        client.send(query())
    server = UdpServer(sock, current, slots)
    server.burst()
    assert 0 < sum(slots) < 3 * SIZE
    server.burst()
    assert sum(slots) == 3 * SIZE


def test_what_gets_no_answer_is_counted_by_its_reason(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview
) -> None:
    """Rubbish between good queries is dropped under its own label and costs none of them."""
    response = bytearray(query(9))
    response[2] |= 0x80
    for message in (query(1), b"x", bytes(response), b"\x00" * (MAX_QUERY + 100), query(2)):
        client.send(message)
    UdpServer(sock, current, slots).burst()

    assert [identity_of(client.recv(2000)) for _ in range(2)] == [1, 2]
    assert slots[tally.dropped(Drop.SHORT)] == 1
    assert slots[tally.dropped(Drop.RESPONSE)] == 1
    assert slots[tally.dropped(Drop.LONG)] == 1
    assert slots[ANSWERED_A] == 2
    assert sum(slots) == 5


def test_the_next_burst_answers_from_the_new_snapshot(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview
) -> None:
    """Assigning the cell is all that a new generation takes."""
    server = UdpServer(sock, current, slots)
    client.send(query())
    server.burst()
    current.adopt(snapshot(2))
    client.send(query())
    server.burst()
    assert [generation_of(client.recv(2000)) for _ in range(2)] == [1, 2]


def test_a_network_that_asks_too_much_gets_less(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a sample has shown it: then half of what is too much is truncated, and each datagram is counted once."""
    limited = replace(snapshot(), terms=Terms(limit=Limit(per_second=10, slip=2)))
    current.adopt(limited)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    server = UdpServer(sock, current, slots)
    for _ in range(3):
        for identity in range(SIZE):
            client.send(query(identity))
        server.burst()
    beyond = 3 * SIZE - 10
    assert (slots[ANSWERED_A], slots[tally.RATE_LIMITED], slots[tally.TRUNCATED]) == (10, beyond // 2, beyond // 2)
    monkeypatch.setattr(time, "monotonic", lambda: 101.0)
    client.send(query())
    server.burst()
    answers = [client.recv(2000) for _ in range(10 + beyond // 2 + 1)]
    assert [answer[2] & 2 for answer in answers] == [0] * 10 + [2] * (beyond // 2) + [0]


@pytest.mark.parametrize(
    ("host", "watched"),
    [("127.0.0.1", "127.0.0.9"), ("127.0.1.1", "127.0.0.9"), ("::1", "::9"), ("::1", "0:0:0:100::9")],
)
def test_others_are_answered_beside_a_network_that_asks_too_much(
    current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch, host: str, watched: str
) -> None:
    """As often as they ask, while its own clients together get what the limit allows."""
    monkeypatch.setattr(RateLimit, "note", lambda *_: None)
    current.adopt(replace(snapshot(), terms=Terms(limit=Limit(per_second=10, slip=0))))
    current.limit.watched[prefix_of(ip_address(watched).packed)] = 100
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock, socket.socket(family, socket.SOCK_DGRAM) as client:
        for each in (sock, client):
            each.bind((host, 0))
        for identity in range(SIZE):
            client.sendto(query(identity), sock.getsockname())
        UdpServer(sock, current, slots).burst()
    same = prefix_of(ip_address(host).packed) == prefix_of(ip_address(watched).packed)
    assert (slots[ANSWERED_A], slots[tally.RATE_LIMITED]) == ((10, SIZE - 10) if same else (SIZE, 0))


def test_draining_ends_though_queries_go_on_coming(
    client: socket.socket, current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    """Each batch that is received brings a new query here: a worker that is told to go must still come to its end."""
    server = UdpServer(sock, current, slots)
    note = current.askers.note

    def note_and_ask_again(asker: bytes, number: int) -> None:
        client.send(query())
        note(asker, number)

    monkeypatch.setattr(current.askers, "note", note_and_ask_again)
    client.send(query())
    server.drain()
    assert slots[ANSWERED_A] > 1


def test_a_large_answer_is_cut_to_what_the_client_takes(
    sock: socket.socket, client: socket.socket, current: Current, slots: memoryview
) -> None:
    """4,000 octets of TXT do not fit any UDP answer of ours: TC tells the client to ask over TCP."""
    client.send(query(1, LARGE, TXT, payload=65535))
    UdpServer(sock, current, slots).burst()
    answer = client.recv(5000)
    assert answer[2] & 0x02
    assert slots[tally.answered(TXT, Rcode.NOERROR)] == 1
