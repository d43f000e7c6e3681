"""What only the C extension can do wrong: memory, and whatever Python gives it that it does not expect."""

import gc
import socket
import sys
from collections.abc import Callable, Iterator
from operator import add
from typing import Any

import pytest

from dnslb.answer import tally
from dnslb.answer.lookup import Reply
from dnslb.answer.responder import respond
from dnslb.answer.snapshot import Rotation, Variant
from dnslb.answer.turns import Turns
from dnslb.wire.edns import Edns, opt_record
from dnslb.wire.header import Rcode
from dnslb.wire.name import from_text
from tests.conftest import member, pool, service, zone
from tests.conftest import snapshot as table
from tests.server.conftest import ANSWERED_A, ENGINES, WWW, in_c, query

pytestmark = pytest.mark.skipif("C" not in ENGINES, reason="the C extension was not built")

_OF = table(pool(*(member(f"mx{n}", f"192.0.2.{n}") for n in range(1, 5))), service("www.lb.test", records=1))
_QUESTION = query()[12:].lower()
_PLAIN = table(zone("www A 192.0.2.80", "plain.test"))
_CLIENT = bytes([127, 0, 0, 1])


class Server:
    """A batch with a socket, counters, and a client that asks it."""

    def __init__(self, sock: socket.socket, client: socket.socket) -> None:
        self.slots = memoryview(bytearray(8 * tally.SLOTS)).cast("Q")
        self.turns = Turns(0)
        self.batch = in_c(sock, self.slots, tally.INTERNAL, tally.UNSENT)
        self._client = client

    def ask(self, *queries: bytes, answer: Callable[[bytes, bytes], Any], ready: Any = _OF.ready) -> list[bytes]:  # noqa: ANN401 - also what must not be
        """Return the answers to the queries, sent in one batch; `answer` has those that the fast way has not."""
        for one in queries:
            self._client.send(one)
        assert self.batch.receive() == len(queries)
        self.batch.answer(ready, self.turns.taken, {}, answer)
        return self.answers()

    def answers(self) -> list[bytes]:
        """Return what has come back."""
        found = []
        while True:
            try:
                found.append(self._client.recv(2000, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return found


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server on a loopback address."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as client:
        sock.bind(("127.0.0.1", 0))
        client.connect(sock.getsockname())
        yield Server(sock, client)


def nobody(_query: bytes, _client: bytes) -> Reply:
    """Fail: the fast way asks nobody."""
    raise AssertionError("Python was asked")


def test_the_fast_way_asks_nobody(server: Server) -> None:
    """A client's first query at a rotation goes to Python, which gives it a turn, and no more of them."""
    told: list[bytes] = []

    def answer(octets: bytes, client: bytes) -> Reply:
        told.append(client)
        return respond(octets, _OF, server.turns, client)

    first = server.ask(query(1), answer=answer)
    others = server.ask(query(2), query(3), query(4, payload=1200), answer=nobody)
    assert told == [_CLIENT]
    answers = [variant.answer for variant in _OF.ready[_QUESTION].ring[:4]]
    opts = [b"", b"", b"", opt_record(dnssec_ok=False)]
    assert [one[12 + len(_QUESTION) :] for one in first + others] == list(map(add, answers, opts))
    assert server.slots[ANSWERED_A] == sum(server.slots) == 4


def test_all_letters_and_no_other_octets_fold(server: Server) -> None:
    """As `bytes.lower` does it: else a name is denied that is there. The name comes back as it was asked for."""
    octets = bytes(range(1, 256))
    asked = b"".join(b"\x33" + octets[start : start + 51] for start in range(0, 255, 51))[: 4 * 52] + b"\0"
    tail = query()[-4:]
    for owner in (asked, b"\x1a" + bytes(range(65, 91)) + b"\0"):
        (found,) = server.ask(query(owner=owner), answer=nobody, ready={owner.lower() + tail: _SOUND})
        assert found[12:] == owner + tail


def test_a_fault_costs_one_message(server: Server) -> None:
    """It is counted, and the others of the batch are answered."""

    def answer(octets: bytes, _client: bytes) -> Reply:
        if octets == b"bad":
            raise ZeroDivisionError
        return octets, 0

    assert server.ask(b"1", b"bad", b"2", answer=answer) == [b"1", b"2"]
    assert (server.slots[0], server.slots[tally.INTERNAL], sum(server.slots)) == (2, 1, 3)


@pytest.mark.parametrize(
    "reply",
    [None, 5, (), (b"x",), [b"x", 0], ("x", 0), (b"x", None), (b"x", -1), (b"x", tally.SLOTS), (b"x", 1 << 80)],
    ids=repr,
)
def test_a_reply_that_is_none_costs_one_message(server: Server, reply: object) -> None:
    """Whatever it is, nothing is sent for it."""
    assert server.ask(b"bad", b"1", answer=lambda octets, _: reply if octets == b"bad" else (octets, 0)) == [b"1"]
    assert (server.slots[0], server.slots[tally.INTERNAL], sum(server.slots)) == (1, 1, 2)


def test_the_longest_responses_fit(server: Server) -> None:
    """A whole batch of them does; one octet more is a fault."""
    assert server.ask(*[b"1"] * 64, answer=lambda *_: (bytes(1232), 0)) == [bytes(1232)] * 64
    assert server.ask(b"1", answer=lambda *_: (bytes(1233), 0)) == []
    assert (server.slots[0], server.slots[tally.INTERNAL]) == (64, 1)


def test_what_ends_the_process_ends_the_batch(server: Server) -> None:
    """Ctrl-C is no fault of a message."""

    def answer(_query: bytes, _client: bytes) -> Reply:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.ask(b"1", b"2", answer=answer)
    assert server.answers() == []
    assert server.ask(b"3", answer=lambda octets, _: (octets, 0)) == [b"3"]


def test_a_batch_is_not_changed_while_it_is_answered(server: Server) -> None:
    """Nobody does that; if somebody did, it would be a fault and not a wrong answer."""
    batch, calls = server.batch, list[Callable[[], object]]()
    calls += [batch.receive, lambda: batch.send([b"x"] * 3), lambda: batch.answer({}, {}, {}, nobody)]

    def answer(octets: bytes, _client: bytes) -> Reply:
        calls.pop()()
        return octets, 0

    assert server.ask(b"1", b"2", b"3", answer=answer) == []
    assert server.slots[tally.INTERNAL] == 3


_VARIANT = Variant(b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\0\0\0\1", b"")
_SOUND = Rotation(_QUESTION, 0, (_VARIANT,), b"")
_ODD: dict[str, Any] = {
    "no rotation": 5,
    "too short": (b"", 0, ()),
    "a list": list(_SOUND),
    "no slot": _SOUND._replace(tally=tally.SLOTS),
    "a negative slot": _SOUND._replace(tally=-1),
    "no ring": _SOUND._replace(ring=None),  # type: ignore[arg-type]  # that is the point
    "an empty ring": _SOUND._replace(ring=()),
    "a ring of something": _SOUND._replace(ring=(5,)),  # type: ignore[arg-type]  # as above
    "short counts": _SOUND._replace(ring=(_VARIANT._replace(counts=b"\0\1"),)),
    "long counts": _SOUND._replace(ring=(_VARIANT._replace(counts=bytes(9)),)),
    "text for octets": _SOUND._replace(additional="x"),  # type: ignore[arg-type]  # as above
    "no answer": _SOUND._replace(ring=(_VARIANT._replace(answer=None),)),  # type: ignore[arg-type]  # as above
    "too long an answer": _SOUND._replace(additional=bytes(484)),
    "a notice": _SOUND._replace(notice=b"x"),
    "views": _SOUND._replace(views={}),
    "by source": _SOUND._replace(by_source=True),
    "text for a key": _SOUND._replace(ring=(_VARIANT,) * 2, key="x"),  # type: ignore[arg-type]  # as above
}


def test_a_rotation_as_it_should_be_is_read(server: Server) -> None:
    """So what is odd with those below is what it says. 512 octets are not too long."""
    longest = _SOUND._replace(additional=bytes(483))
    for ready in ({_QUESTION: _SOUND}, {_QUESTION: longest}):
        assert len(server.ask(query(), answer=nobody, ready=ready)) == 1


@pytest.mark.parametrize("rotation", _ODD.values(), ids=_ODD)
def test_what_is_odd_in_a_table_goes_to_python(server: Server, rotation: object) -> None:
    """It has not been counted, nor a turn been taken."""
    ready = {_QUESTION: rotation}
    assert server.ask(query(), answer=lambda *_: (b"asked", 7), ready=ready) == [b"asked"]
    assert (server.slots[7], sum(server.slots)) == (1, 1)
    assert not server.turns.taken


@pytest.mark.parametrize("turn", ["x", -1, 1 << 80, sys.maxsize, None])
def test_what_is_odd_in_a_turn_goes_to_python(server: Server, turn: Any) -> None:  # noqa: ANN401 - what must not be
    """It stays as it is."""
    owner = _CLIENT + _OF.ready[_QUESTION].key
    server.turns.taken[owner] = turn
    assert server.ask(query(), answer=lambda *_: (b"asked", 7)) == [b"asked"]
    assert server.turns.taken == {owner: turn}


@pytest.mark.parametrize(
    "edns", [5, (), Edns(-1, b"", 0, dnssec_ok=False), Edns(1233, b"", 0, dnssec_ok=False), ("x", b""), (1232, None)]
)
def test_what_is_odd_in_a_known_record_goes_to_python(server: Server, edns: Any) -> None:  # noqa: ANN401 - as above
    """As all that is odd."""
    octets = query(payload=1232)[:-2] + b"\0\5\0\x0a\0\1x"
    known = {_CLIENT + octets[12 + len(_QUESTION) :]: edns}
    server._client.send(octets)  # noqa: SLF001 - of these tests
    server.batch.receive()
    server.batch.answer(_OF.ready, server.turns.taken, known, lambda *_: (b"asked", 7))
    assert server.answers() == [b"asked"]


@pytest.mark.parametrize(("watched", "asked"), [({}, False), ({b"\x7f\0\1": 1}, False), ({b"\x7f\0\0": 1}, True)])
def test_what_a_watched_network_asks_goes_to_python(server: Server, watched: dict[bytes, int], *, asked: bool) -> None:
    """Whatever it is, for it may have had enough; all others are answered as ever."""
    owner = _CLIENT + _OF.ready[_QUESTION].key
    server.turns.taken[owner] = 0
    server._client.send(query())  # noqa: SLF001 - of these tests
    server.batch.receive()
    server.batch.answer(_OF.ready, server.turns.taken, {}, lambda *_: (b"asked", 7), watched)
    assert (server.answers() == [b"asked"]) is asked
    assert server.turns.taken == {owner: int(not asked)}


_MISSING = from_text("no.plain.test")
_ZONE = _PLAIN.zones[from_text("plain.test")]


class Odd:
    """A zone of which everything but one field is as it should be."""

    def __init__(self, **odd: object) -> None:
        for field in ("plain", "empty", "cuts", "soa"):
            if odd.get(field, self) is not None:
                setattr(self, field, odd.get(field, getattr(_ZONE, field)))


def denied(server: Server, owner: bytes, zone: object = None, answers: object = None, slots: object = (1, 3)) -> bytes:
    """Return the answer of tables with one zone, one name, and one type that may be missing; Python's is "asked"."""
    zones: Any = {_ZONE.apex: zone or _ZONE}
    names: Any = {_MISSING: answers} if answers is not None else {}
    deniable: Any = {query()[-4:]: slots}
    server._client.send(query(owner=owner))  # noqa: SLF001 - of these tests
    server.batch.receive()
    server.batch.answer({}, {}, {}, lambda *_: (b"asked", 7), {}, (names, zones, deniable))
    (found,) = server.answers()
    assert sum(server.slots) == 1
    return found


def test_what_is_not_there_is_denied_at_once(server: Server) -> None:
    """As Python does it."""
    expected, _ = respond(query(owner=_MISSING), _PLAIN, server.turns, _CLIENT)
    assert denied(server, _MISSING) == expected
    assert server.slots[3] == 1


@pytest.mark.parametrize(("answers", "zone"), [({}, None), (None, Odd(empty=[_MISSING])), ({b"x": 5}, Odd(plain=5))])
def test_a_name_that_is_there_has_no_such_data(server: Server, answers: object, zone: object) -> None:
    """It is known by its answers, or for it has none but names below it have."""
    assert denied(server, _MISSING, zone, answers)[3] & 0xF == Rcode.NOERROR
    assert server.slots[1] == 1


_ROOM = 512 - len(query(owner=_MISSING))
_OTHERS: dict[str, dict[str, Any]] = {
    "an alias": {"answers": {b"\0\5\0\1": 5}},
    "answers of another kind": {"answers": [5]},
    "the type is there": {"answers": {b"\0\1\0\1": 5}},
    "a cut": {"zone": Odd(empty={_MISSING}, cuts={_MISSING: 5})},
    "cuts of another kind": {"zone": Odd(empty={_MISSING}, cuts=5)},
    "empty names of another kind": {"zone": Odd(empty=5)},
    "a zone that is not plain": {"zone": Odd(plain=False)},
    "no zone": {"zone": 5},
    "no SOA": {"zone": Odd(soa=None)},
    "an empty SOA": {"zone": Odd(soa=())},
    "a list for a SOA": {"zone": Odd(soa=[b""])},
    "text in a SOA": {"zone": Odd(soa=("x",))},
    "too long a SOA": {"zone": Odd(soa=(bytes(_ROOM - 2), b"x"))},
    "far too long a SOA": {"zone": Odd(soa=(bytes(5000),))},
    "no slots": {"slots": 5},
    "too few slots": {"slots": (1,)},
    "a slot that is not there": {"slots": (1, tally.SLOTS)},
    "a name in no zone": {"owner": from_text("no.other.test")},
    "the root": {"owner": b"\0"},
    "a label that is too long": {"owner": b"\x40" + b"x" * 64 + _ZONE.apex},
    "a label that swallows the apex": {"owner": b"\x0bx" + _ZONE.apex},
    "a label that goes on": {"owner": b"\x0cx" + _ZONE.apex},
    "a name of 256 octets": {"owner": b"\1x" * 122 + _ZONE.apex},
}


@pytest.mark.parametrize("parts", _OTHERS.values(), ids=_OTHERS)
def test_what_is_not_simply_denied_goes_to_python(server: Server, parts: dict[str, Any]) -> None:
    """For a second thought, or for it is odd."""
    assert denied(server, **({"owner": _MISSING} | parts)) == b"asked"


def test_a_denial_fits_to_the_octet(server: Server) -> None:
    """With a pointer in its hole."""
    assert len(denied(server, _MISSING, Odd(soa=(bytes(_ROOM - 3), b"x")))) == 512


def test_wrong_arguments_are_refused(server: Server) -> None:
    """With an exception, as Python does it."""
    batch: Any = server.batch
    assert batch.receive() == 0
    unfit: tuple[tuple[object, ...], ...] = (
        (),
        (5, {}, {}, nobody),
        ({}, [], {}, nobody),
        ({}, {}, None, nobody),
        ({}, {}, {}, nobody, 5),
        ({}, {}, {}, nobody, {}, 5),
        ({}, {}, {}, nobody, {}, ({}, {})),
        ({}, {}, {}, nobody, {}, ({}, {}, 5)),
    )
    for arguments in unfit:
        with pytest.raises(TypeError):
            batch.answer(*arguments)
    for place in (-1, 0, 64, 1 << 80):
        with pytest.raises((IndexError, OverflowError)):
            batch.client(place)
    server._client.send(b"x")  # noqa: SLF001 - of these tests
    assert batch.receive() == 1
    for responses, error in (([], IndexError), (None, TypeError), (["x"], TypeError), ([bytes(1233)], ValueError)):
        with pytest.raises(error):
            batch.send(responses)
    make: Any = type(batch)
    for counters, internal, wrong in (
        (b"12345678", 0, BufferError),
        (bytearray(8), 1, IndexError),
        (bytearray(7), 0, IndexError),
        (bytearray(8), "x", TypeError),
        (None, 0, TypeError),
    ):
        with pytest.raises(wrong):
            make(3, 0, 0, counters, internal, 0)
    with pytest.raises(IndexError):
        make(3, 0, 0, bytearray(8), 0, 1)


def test_nothing_is_kept(server: Server) -> None:
    """After many answers all objects are held by those who held them before, whichever way the queries went."""
    rotation, known = _OF.ready[_QUESTION], Edns(1232, opt_record(dnssec_ok=False), 0, dnssec_ok=False)
    cookie = query(payload=1232)[:-2] + b"\0\5\0\x0a\0\1x"
    records = {_CLIENT + cookie[12 + len(_QUESTION) :]: known}
    answers: Any = {b"x": 5}
    slots, names, zones = (1, 3), {_ZONE.apex: answers}, {_ZONE.apex: _ZONE}
    deniable, networks = {query()[-4:]: slots}, {b"\0\0\0": 1}
    watched = [_OF.ready, server.turns.taken, rotation, rotation.ring, *rotation.ring, known, nobody, rotation.key]
    watched += [records, answers, slots, names, zones, deniable, networks, _ZONE, _ZONE.empty, _ZONE.cuts, _ZONE.soa]
    watched += [*_ZONE.soa, True, False]

    def answer(octets: bytes, client: bytes) -> Reply:
        return respond(octets, _OF, server.turns, client)

    def exchange() -> None:
        queries = (query(), query(payload=1232), query(owner=b"\1x" + WWW), b"x")
        server.ask(*queries, b"y", answer=answer)
        server.ask(b"bad", answer=nobody)
        for one in (cookie, query(owner=_MISSING), query(owner=_ZONE.apex)):
            server._client.send(one)  # noqa: SLF001 - of these tests
        assert server.batch.receive() == 3
        server.batch.datagrams()
        server.batch.answer(_OF.ready, server.turns.taken, records, nobody, networks, (names, zones, deniable))
        assert len(server.answers()) == 3

    def held() -> tuple[list[int], int]:
        gc.collect()
        return [sys.getrefcount(one) for one in watched], sys.getallocatedblocks()

    for _ in range(3):
        exchange()
    before, blocks = held()
    for _ in range(200):
        exchange()
    after, more = held()
    assert after == before
    assert more - blocks < 100


def test_a_batch_lets_go_of_its_counters(server: Server) -> None:
    """And of its type: it is as any object."""
    counters = bytearray(8)
    for _ in range(3):
        type(server.batch)(3, False, True, memoryview(counters), 0, 0)  # noqa: FBT003 - C has no keywords
    counters.extend(b"x")
