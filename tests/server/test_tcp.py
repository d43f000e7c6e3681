"""TCP: framing, clients that are slow, rude or many, and what they may cost."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.answer import tally
from dnslb.answer.askers import Askers, beginning
from dnslb.answer.sketch import Entry
from dnslb.answer.tally import Cut
from dnslb.answer.turns import Turns
from dnslb.server import tcp
from dnslb.server.current import Current
from dnslb.server.reports import Reports
from dnslb.wire.query import MAX_QUERY, Drop
from tests.server.conftest import ANSWERED_A, LARGE, TXT, framed, generation_of, identity_of, query, snapshot, until

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
def connections(current: Current, slots: memoryview) -> tcp.Connections:
    """Give the connections of one worker, none at first."""
    return tcp.Connections(current, slots)


@pytest.fixture(params=["127.0.0.1", "::1"])
async def dial(connections: tcp.Connections, request: pytest.FixtureRequest) -> AsyncIterator[Dial]:
    """Give a way to connect to a listening server, over IPv4 and IPv6; all is closed after the test."""
    sock = socket.create_server((request.param, 0), family=socket.AF_INET6 if ":" in request.param else socket.AF_INET)
    address = sock.getsockname()[:2]
    server = await tcp.listen(sock, connections)
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*address)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()
    await server.close()
    await connections.close(5)


async def message(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of a stream."""
    async with asyncio.timeout(20):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes up to the end, which a reset may be."""
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


def count(connections: tcp.Connections) -> int:
    """Return how many connections count as open."""
    return len(connections._open)  # noqa: SLF001 - nothing else needs to know


async def test_a_message_is_answered_however_it_is_cut(dial: Dial) -> None:
    """One query in single octets, and two queries cut within the second's length, are three answers."""
    reader, writer = await dial()
    for octet in framed(query(1)):
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0)
    assert identity_of(await message(reader)) == 1

    both = framed(query(2)) + framed(query(3))
    cut = len(framed(query(2))) + 1
    writer.write(both[:cut])
    assert identity_of(await message(reader)) == 2
    writer.write(both[cut:])
    assert identity_of(await message(reader)) == 3


async def test_many_questions_are_answered_in_order(dial: Dial, slots: memoryview) -> None:
    """A client may pipeline (RFC 7766 section 6.2.1.1); each answer is counted under TCP's slots."""
    reader, writer = await dial()
    writer.write(b"".join(framed(query(identity)) for identity in range(300)))
    assert [identity_of(await message(reader)) for _ in range(300)] == list(range(300))
    assert slots[ANSWERED_A] == sum(slots) == 300


async def test_a_client_that_has_said_all_gets_its_answers(dial: Dial) -> None:
    """A half-close after the last question is no reason not to answer it; then the connection ends."""
    reader, writer = await dial()
    writer.write(framed(query(1)) + framed(query(2, LARGE, TXT)))
    writer.write_eof()
    assert identity_of(await message(reader)) == 1
    large = await message(reader)
    assert identity_of(large) == 2
    assert len(large) > 4000
    assert await rest(reader) == b""


async def test_half_a_question_before_the_end_gets_nothing(dial: Dial, connections: tcp.Connections) -> None:
    """The connection is closed and forgotten."""
    reader, writer = await dial()
    writer.write(framed(query())[:-1])
    writer.write_eof()
    assert await rest(reader) == b""
    await until(lambda: count(connections) == 0, "the connection is forgotten")


async def test_a_later_question_gets_the_newer_answer(dial: Dial, current: Current) -> None:
    """A connection outlives generations."""
    reader, writer = await dial()
    writer.write(framed(query()))
    assert generation_of(await message(reader)) == 1
    current.adopt(snapshot(2))
    writer.write(framed(query()))
    assert generation_of(await message(reader)) == 2


@pytest.mark.parametrize("octets", [framed(b""), framed(b"\x00" * 11), framed(b"\x00\x01\x80" + bytes(9))])
async def test_what_must_not_be_answered_ends_the_connection(
    dial: Dial, connections: tcp.Connections, slots: memoryview, octets: bytes
) -> None:
    """After an empty message, half a header or a response nobody knows what the stream means; answers go out first."""
    reader, writer = await dial()
    writer.write(framed(query(1)) + octets + framed(query(2)))
    assert identity_of(await message(reader)) == 1
    assert await rest(reader) == b""
    await until(lambda: count(connections) == 0, "the connection is forgotten")
    assert (slots[ANSWERED_A], slots[tally.closed(Cut.UNANSWERED)], sum(slots)) == (1, 1, 3)


async def test_too_long_a_message_is_refused_when_it_is_announced(dial: Dial, slots: memoryview) -> None:
    """The two octets of the length are enough to be closed and counted; none of the message is waited for."""
    reader, writer = await dial()
    writer.write((MAX_QUERY + 1).to_bytes(2, "big"))
    assert await rest(reader) == b""
    assert slots[tally.dropped(Drop.LONG)] == slots[tally.closed(Cut.UNANSWERED)] == 1
    assert sum(slots) == 2


async def test_the_longest_message_is_waited_for(dial: Dial) -> None:
    """A message of exactly the limit gets its answer, FORMERR for what follows the question."""
    reader, writer = await dial()
    writer.write(framed(query(7).ljust(MAX_QUERY, b"\x00")))
    answer = await message(reader)
    assert identity_of(answer) == 7
    assert answer[3] & 0x0F == 1


async def test_an_idle_connection_is_closed(
    dial: Dial, connections: tcp.Connections, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that never asks, and one that asked once, both end, and nothing of them is left."""
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.05)
    silent, _ = await dial()
    asked, writer = await dial()
    writer.write(framed(query(1)))
    assert identity_of(await message(asked)) == 1
    assert await rest(silent) == b""
    assert await rest(asked) == b""
    assert count(connections) == 0
    assert slots[tally.closed(Cut.IDLE)] == 2


async def test_a_message_that_drips_in_is_not_waited_for(
    dial: Dial, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has to be whole in time, however much of it has come: else its client holds a place and asks nothing."""
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.2)
    reader, writer = await dial()

    async def trickle() -> None:
        writer.write((1000).to_bytes(2, "big"))
        for _ in range(900):
            writer.write(b"x")
            await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    assert await rest(reader) == b""
    assert not trickling.done()
    assert slots[tally.closed(Cut.SLOW_WRITER)] == 1
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)


async def test_one_more_than_the_limit_closes_the_one_that_is_idle_for_longest(
    dial: Dial, connections: tcp.Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has just asked stays; who has said nothing for longest goes."""
    monkeypatch.setattr(connections, "_most", 3)
    monkeypatch.setattr(connections, "_most_of_one", 9)
    clients = []
    for _ in range(3):
        clients.append(await dial())
        await until(lambda: count(connections) == len(clients), "it is accepted")
    first, second, third = clients
    first[1].write(framed(query(1)))
    assert identity_of(await message(first[0])) == 1
    fourth = await dial()

    assert await rest(second[0]) == b""
    for reader, writer in (first, third, fourth):
        writer.write(framed(query(2)))
        assert identity_of(await message(reader)) == 2
    assert count(connections) == 3


async def test_connections_that_come_all_at_once_are_limited_too(
    dial: Dial, connections: tcp.Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are accepted in one turn of the loop, as many old ones go."""
    monkeypatch.setattr(connections, "_most", 5)
    monkeypatch.setattr(connections, "_most_of_one", 99)
    clients = [await dial() for _ in range(5)]
    await until(lambda: count(connections) == 5, "all are accepted")
    clients += await asyncio.gather(*(dial() for _ in range(40)))
    for reader, _writer in clients[:40]:
        assert await rest(reader) == b""
    for reader, writer in clients[40:]:
        writer.write(framed(query(1)))
        assert identity_of(await message(reader)) == 1
    assert count(connections) == 5


@pytest.mark.parametrize(
    ("descriptors", "most"),
    [(resource.RLIM_INFINITY, 512), (1 << 20, 512), (576, 512), (575, 511), (256, 192), (80, 16), (20, 16)],
)
async def test_the_limit_leaves_descriptors_for_other_things(
    current: Current, slots: memoryview, monkeypatch: pytest.MonkeyPatch, descriptors: int, most: int
) -> None:
    """A process that may open few files has fewer connections, and can always accept the next."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    connections = tcp.Connections(current, slots)
    for number in range(600):
        Wire(connections, client=f"192.0.2.{number % 8}")
        assert count(connections) == min(number + 1, most)
    assert slots[tally.closed(Cut.TOTAL_LIMIT)] == sum(slots) == 600 - most


async def test_one_client_cannot_have_all_connections(connections: tcp.Connections, slots: memoryview) -> None:
    """Beyond a quarter of them each closes its own one that is idle for longest; others keep theirs."""
    other = Wire(connections, client="192.0.2.99")
    own = [Wire(connections) for _ in range(128 + 5)]
    assert [wire.closed for wire in own] == [True] * 5 + [False] * 128
    assert not other.closed
    assert slots[tally.closed(Cut.ADDRESS_LIMIT)] == sum(slots) == 5


@pytest.mark.parametrize(
    ("clients", "most"),
    [
        (["192.0.2.1", "192.0.2.2"], 200),
        (["2001:db8::1", "2001:db8::2"], 128),
        (["2001:db8:0:1::1", "2001:db8:0:2::1"], 200),
        (["fe80::1%eth0", "fe80::2%eth0"], 128),
    ],
)
async def test_what_one_client_is(connections: tcp.Connections, clients: list[str], most: int) -> None:
    """An IPv4 address, or a /64 of IPv6, in which whoever has one address has them all."""
    for number in range(200):
        Wire(connections, client=clients[number % 2])
    assert count(connections) == most


async def test_a_client_that_is_gone_is_not_remembered(connections: tcp.Connections) -> None:
    """However many addresses have come and gone."""
    for number in range(300):
        Wire(connections, client=f"10.0.{number % 256}.{number // 256}").close()
    assert not connections._of  # noqa: SLF001 - memory is what it is about


async def test_newcomers_do_not_make_room_for_each_other_while_few_ask_without_end(
    connections: tcp.Connections, slots: memoryview
) -> None:
    """Four clients can have all connections: for each newcomer one of them loses one, until it has as few as others."""
    greedy = [Wire(connections, client=f"192.0.2.{number % 4}") for number in range(512)]
    for wire in greedy:
        wire.connection.data_received(asked(0, 2))
    newcomers = [Wire(connections, client=f"198.51.100.{number}") for number in range(200)]
    assert not any(wire.closed for wire in newcomers)
    left = [sum(not wire.closed for wire in greedy[number::4]) for number in range(4)]
    assert left == [78] * 4
    assert slots[tally.closed(Cut.TOTAL_LIMIT)] == sum(slots) == 200


async def test_who_waits_for_an_answer_is_not_closed_for_a_newcomer(
    connections: tcp.Connections, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is idle is, though it came later."""
    monkeypatch.setattr(connections, "_most", 2)
    asking = Wire(connections, client="192.0.2.2")
    asking.connection.data_received(asked(0, 3))
    idle, newcomer = Wire(connections, client="192.0.2.3"), Wire(connections, client="192.0.2.4")
    assert (asking.closed, idle.closed, newcomer.closed) == (False, True, False)
    await some_turns()
    assert asking.identities() == [0, 1, 2]
    assert slots[tally.closed(Cut.TOTAL_LIMIT)] == 1


async def test_connections_that_all_wait_for_their_clients_end_too(
    connections: tcp.Connections, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if nobody was idle when it was looked last."""
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.05)
    wire = Wire(connections, narrow=True)
    for _ in range(3):
        wire.connection.data_received(asked(0, 1))
        await some_turns()
        await asyncio.sleep(0.03)
        wire.connection.resume_writing()
    wire.connection.data_received(asked(0, 1))
    await until(lambda: wire.closed, "it is closed")
    assert slots[tally.closed(Cut.SLOW_READER)] == 1


async def test_a_client_that_asks_and_does_not_read_holds_little(dial: Dial, connections: tcp.Connections) -> None:
    """What it asks waits at its end, in the kernel: 512 such connections must not take a worker's memory."""
    _, writer = await dial()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's is one that reads, too
    writer.write(framed(query(1, LARGE, TXT)) * 50_000)
    await until(lambda: count(connections) == 1, "it is accepted")
    (connection,) = connections._open  # noqa: SLF001 - memory is what it is about
    held = set()
    while not connection._paused:  # noqa: SLF001 - as above
        await asyncio.sleep(0)
        held.add(len(connection._buffer))  # noqa: SLF001 - as above
    assert 0 < max(held) <= (1 << 14) + 2 + MAX_QUERY


class Wire(asyncio.Transport):
    """A transport that notes what is done with it; if it is `narrow` its buffer is full after each write."""

    def __init__(self, connections: tcp.Connections, *, narrow: bool = False, client: str = "192.0.2.1") -> None:
        super().__init__({"peername": (client, 53)})
        self.written = b""
        self.reads = True
        self.closed = False
        self.connection = tcp.Connection(connections)
        self._narrow = narrow
        self.connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take it, and perhaps say that this was enough."""
        self.written += data
        if self._narrow:
            self.connection.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take any."""

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Note that the client need not go on."""
        self.reads = False

    def resume_reading(self) -> None:
        """Note that the client may go on."""
        self.reads = True

    def close(self) -> None:
        """Be gone."""
        self.closed = True
        self.connection.connection_lost(None)

    abort = close

    def identities(self) -> list[int]:
        """Return the ids of the messages that were written."""
        octets, found = self.written, []
        while octets:
            end = 2 + int.from_bytes(octets[:2], "big")
            found.append(identity_of(octets[2:end]))
            octets = octets[end:]
        return found


def asked(first: int, end: int) -> bytes:
    """Return queries with these ids as they go over TCP."""
    return b"".join(framed(query(identity)) for identity in range(first, end))


THREE = framed(query(1)) + framed(query(2, LARGE, TXT)) + framed(query(3))


@pytest.mark.parametrize("cut", range(len(THREE) + 1))
async def test_three_messages_cut_anywhere_are_three_messages(connections: tcp.Connections, cut: int) -> None:
    """Within a length, between it and its message, or between two messages."""
    assert await answered_in([THREE[:cut], THREE[cut:]], connections) == [1, 2, 3]


@given(st.lists(st.integers(0, len(THREE)), max_size=12), st.integers(0, 2))
async def test_messages_in_any_pieces_are_the_same_messages(cuts: list[int], closing: int) -> None:
    """However many, empty ones among them; what is not whole in the end gets no answer."""
    slots = memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
    connections = tcp.Connections(Current(snapshot(), Turns(0), Askers(beginning(0.0)), Reports()), slots)
    stream = THREE[: len(THREE) - closing]
    pieces = [stream[first:end] for first, end in pairwise([0, *sorted(cuts), len(THREE)])]
    assert await answered_in(pieces, connections) == ([1, 2] if closing else [1, 2, 3])
    assert sum(slots) == (2 if closing else 3)


async def answered_in(pieces: list[bytes], connections: tcp.Connections) -> list[int]:
    """Return the ids of the answers to what comes in these pieces."""
    wire = Wire(connections)
    for piece in pieces:
        wire.connection.data_received(piece)
        await some_turns()
    wire.close()
    return wire.identities()


async def some_turns() -> None:
    """Let the event loop go around more often than anything here needs."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_client_that_does_not_read_is_not_answered_ahead(
    connections: tcp.Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers to what it has asked do not pile up here: the next is made when it has taken the one before."""
    monkeypatch.setattr(tcp, "_AT_ONCE", 1)
    wire = Wire(connections, narrow=True)
    wire.connection.data_received(asked(1, 3) + framed(query(3))[:5])
    await some_turns()
    assert (wire.identities(), wire.reads) == ([1], False)

    wire.connection.resume_writing()
    await some_turns()
    assert (wire.identities(), wire.reads) == ([1, 2], False)
    wire.connection.resume_writing()
    await some_turns()
    assert wire.reads
    wire.connection.data_received(framed(query(3))[5:])
    await some_turns()
    assert wire.identities() == [1, 2, 3]
    wire.close()


async def test_large_answers_are_not_made_ahead_either(connections: tcp.Connections) -> None:
    """What is written at once is not much more than what a transport takes before it says that it is enough."""
    wire = Wire(connections, narrow=True)
    wire.connection.data_received(framed(query(1, LARGE, TXT, payload=1232)) * 16 * 8)
    await some_turns()
    assert (1 << 16) <= len(wire.written) < (1 << 16) + 5000
    wire.close()


async def test_clients_that_ask_a_thousand_things_at_once_leave_others_their_turn(
    connections: tcp.Connections, slots: memoryview
) -> None:
    """In one turn of the loop at most 64 messages are answered over TCP; nobody is read on from meanwhile."""
    wires = [Wire(connections) for _ in range(10)]
    for wire in wires:
        wire.connection.data_received(asked(0, 200))
    before = 0
    while (answered := slots[ANSWERED_A]) < 2000:
        assert answered - before <= tcp.MESSAGES_A_TURN
        before = answered
        await asyncio.sleep(0)
        assert all(wire.reads == (len(wire.identities()) == 200) for wire in wires)
    assert all(wire.identities() == list(range(200)) for wire in wires)
    for wire in wires:
        wire.close()


@pytest.mark.parametrize(("seconds", "at_most"), [(0.0001, 51), (0.001, 6), (0.02, 1)])
async def test_a_turn_is_bounded_by_time_too(
    connections: tcp.Connections, monkeypatch: pytest.MonkeyPatch, seconds: float, at_most: int
) -> None:
    """UDP does not wait for 64 questions that are expensive. One is answered in each turn, whatever it costs."""
    answered = 0

    def slow(octets: bytes, *_: object, **__: object) -> bytes:
        nonlocal answered
        answered += 1
        return octets

    monkeypatch.setattr(connections.current, "answer", slow)
    monkeypatch.setattr(tcp, "monotonic", lambda: answered * seconds)
    wires = [Wire(connections) for _ in range(3)]
    for wire in wires:
        wire.connection.data_received(asked(0, 40))
    turns = []
    while answered < 120:
        before = answered
        await asyncio.sleep(0)
        turns.append(answered - before)
    assert max(turns) in {at_most, at_most - 1}
    assert all(turns[1:])
    assert all(wire.identities() == list(range(40)) for wire in wires)
    for wire in wires:
        wire.close()


async def test_a_client_with_one_question_does_not_wait_for_those_with_thousands(connections: tcp.Connections) -> None:
    """Each has its turn after a few answers to another."""
    greedy, modest = Wire(connections), Wire(connections)
    greedy.connection.data_received(asked(0, 5000))
    modest.connection.data_received(framed(query(7)))
    await asyncio.sleep(0)
    assert modest.identities() == [7]
    assert len(greedy.identities()) < tcp.MESSAGES_A_TURN
    greedy.close()
    modest.close()


async def test_a_worker_that_ends_answers_what_it_was_asked(connections: tcp.Connections) -> None:
    """What has been received counts as asked, though its turn has not come; then the connection is closed."""
    wire, waiting = Wire(connections), Wire(connections, narrow=True)
    wire.connection.data_received(asked(0, 1000) + b"\x00")
    waiting.connection.data_received(asked(0, 20))
    await some_turns()
    closing = asyncio.create_task(connections.close(20))
    await until(lambda: wire.closed, "it is closed")
    assert wire.identities() == list(range(1000))
    assert not waiting.closed
    waiting.connection.resume_writing()
    await until(lambda: waiting.closed, "it is closed when its client has taken what was before")
    assert waiting.identities() == list(range(20))
    await closing


async def test_a_client_that_has_asked_thousands_and_said_all_gets_its_answers(dial: Dial) -> None:
    """A half-close is not seen before the last question is answered."""
    reader, writer = await dial()
    writer.write(asked(0, 20_000))
    writer.write_eof()
    assert [identity_of(await message(reader)) for _ in range(20_000)] == list(range(20_000))
    assert await rest(reader) == b""


async def test_a_client_that_has_gone_is_not_answered(
    dial: Dial, connections: tcp.Connections, slots: memoryview, caplog: pytest.LogCaptureFixture
) -> None:
    """Of what it asked before, nothing is answered into the void, a line of asyncio's log for each."""
    _reader, writer = await dial()
    await until(lambda: count(connections) == 1, "it is accepted")
    (connection,) = connections._open  # noqa: SLF001 - what has been received and not answered is seen of nothing else
    assert connection._transport is not None  # noqa: SLF001 - the same
    connection._transport.abort()  # noqa: SLF001 - as a write does that finds the connection reset
    connection.data_received(framed(query()) * 100)
    writer.close()
    await until(lambda: count(connections) == 0, "the connection is forgotten")
    assert (sum(slots), len(connection._buffer), len(caplog.records)) == (0, 0, 0)  # noqa: SLF001 - the same


def waits_for_its_client(connections: tcp.Connections) -> bool:
    """Say whether the one connection has more to send than the client takes."""
    return any(connection._paused for connection in connections._open)  # noqa: SLF001 - what is seen of it is nothing


async def test_a_client_that_reads_late_gets_all_in_order(dial: Dial, connections: tcp.Connections) -> None:
    """More answers than any buffer between here and there holds arrive whole when it begins to read."""
    reader, writer = await dial()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's transport
    asked = 3000  # 12 MB of answers
    writer.write(b"".join(framed(query(identity, LARGE, TXT)) for identity in range(asked)))
    writer.write_eof()
    await until(lambda: waits_for_its_client(connections), "no buffer takes more")
    writer.transport.resume_reading()  # type: ignore[attr-defined]  # it is a socket's transport
    assert [identity_of(await message(reader)) for _ in range(asked)] == list(range(asked))
    assert await rest(reader) == b""


async def test_a_client_that_never_reads_is_closed(
    dial: Dial, connections: tcp.Connections, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asked for and does not take is not kept for longer than an idle connection is."""
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.5)
    _reader, writer = await dial()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's transport
    writer.write(b"".join(framed(query(identity, LARGE, TXT)) for identity in range(5000)))
    await until(lambda: slots[tally.closed(Cut.SLOW_READER)], "it is closed")
    assert count(connections) == 0


async def test_answers_that_are_sipped_are_not_kept(
    dial: Dial, slots: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes a few octets now and then takes what waits for it too slowly."""
    monkeypatch.setattr(tcp, "IDLE_SECONDS", 0.5)
    reader, writer = await dial()
    sock: socket.socket = writer.get_extra_info("socket")
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's transport
    writer.write(b"".join(framed(query(identity, LARGE, TXT)) for identity in range(5000)))
    taken = 0
    while not slots[tally.closed(Cut.SLOW_READER)]:
        with suppress(BlockingIOError):
            # Reading by the side of the transport, as slowly as we like.
            taken += len(os.read(sock.fileno(), 10))
        await asyncio.sleep(0.01)
    assert taken > 10
    assert not reader.at_eof()


async def test_closing_all_lets_answers_out_first(dial: Dial, connections: tcp.Connections) -> None:
    """A worker that stops sends what it has answered, and closes those that are idle."""
    idle, _ = await dial()
    reader, writer = await dial()
    await until(lambda: count(connections) == 2, "both are accepted")
    writer.write(framed(query(1, LARGE, TXT)) * 20)
    first = await message(reader)
    await connections.close(10)
    assert count(connections) == 0
    assert await rest(idle) == b""
    assert len(await rest(reader)) == 19 * len(framed(first))


async def test_who_waits_to_be_accepted_is_answered_before_the_end(connections: tcp.Connections) -> None:
    """To close a socket with connections that nobody has accepted would reset them; who asks a bit later is too."""
    sock = socket.create_server(("127.0.0.1", 0))
    listener = await tcp.listen(sock, connections)
    with socket.create_connection(sock.getsockname()) as client, socket.create_connection(sock.getsockname()) as slow:
        client.sendall(framed(query(1)))
        await listener.close()
        closing = asyncio.create_task(connections.close(5))
        await asyncio.sleep(0)
        slow.sendall(framed(query(2)))
        await closing
        for each, identity in ((client, 1), (slow, 2)):
            each.settimeout(20)
            assert identity_of(each.recv(2000)[2:]) == identity
            assert each.recv(2000) == b""


async def test_a_question_that_was_not_read_yet_is_answered_before_the_end(
    dial: Dial, connections: tcp.Connections
) -> None:
    """It had come when the connection was closed."""
    reader, writer = await dial()
    writer.write(framed(query(1)))
    assert identity_of(await message(reader)) == 1
    writer.write(framed(query(2)))
    await connections.close(5)
    assert identity_of(await message(reader)) == 2
    assert await rest(reader) == b""


async def test_closing_all_does_not_wait_for_who_has_nothing_to_ask(
    dial: Dial, connections: tcp.Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after an answer, nor after it had its time."""
    reader, writer = await dial()
    writer.write(framed(query(1)))
    assert identity_of(await message(reader)) == 1
    idle, _ = await dial()
    await until(lambda: count(connections) == 2, "both are accepted")
    monkeypatch.setattr(tcp, "_TIME_TO_ASK", 0.0)
    await connections.close(3600)
    assert [await rest(each) for each in (reader, idle)] == [b"", b""]


async def test_closing_all_does_not_wait_for_who_does_not_read(dial: Dial, connections: tcp.Connections) -> None:
    """After the time given it is closed with what it did not take."""
    _reader, writer = await dial()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's transport
    writer.write(b"".join(framed(query(identity, LARGE, TXT)) for identity in range(5000)))
    await until(lambda: count(connections) == 1, "it is accepted")
    await connections.close(0.05)
    await until(lambda: count(connections) == 0, "it is closed")


async def test_who_asks_is_noted(dial: Dial, current: Current) -> None:
    """Each query of a connection counts for its client's network."""
    reader, writer = await dial()
    for identity in range(3):
        writer.write(framed(query(identity)))
        await message(reader)
    (noted,) = current.askers.summary(1.0).entries
    assert noted in {Entry(bytes([127, 0, 0]), 3, 0), Entry(bytes(7), 3, 0)}
