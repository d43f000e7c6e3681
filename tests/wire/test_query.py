"""The gate: what becomes a query, what is dropped, and what is refused with which code."""

import pytest

from dnslb.wire.edns import Edns, edns
from dnslb.wire.header import Rcode
from dnslb.wire.query import MAX_QUERY, Drop, Query, Rejection, parse
from tests.conftest import question

_QNAME = b"\x02Mx\x02lb\x04Test\x00"
_TAIL = b"\x00\x0f\x00\x01"
_OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_TSIG = b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x03abc"


def _message(
    body: bytes = _QNAME + _TAIL, *, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0)
) -> bytes:
    head = (4711, flags, *counts)
    return b"".join(number.to_bytes(2, "big") for number in head) + body


def _with(*additional: bytes, number: int | None = None) -> bytes:
    counts = (1, 0, 0, len(additional) if number is None else number)
    return _message(_QNAME + _TAIL + b"".join(additional), counts=counts)


def _option(code: int, data: bytes, length: int | None = None) -> bytes:
    return code.to_bytes(2, "big") + (len(data) if length is None else length).to_bytes(2, "big") + data


def _opt(options: bytes = b"", *, owner: bytes = b"\x00", length: int | None = None, version: int = 0) -> bytes:
    size = len(options) if length is None else length
    return owner + b"\x00\x29\x04\xd0\x00" + bytes([version]) + b"\x80\x00" + size.to_bytes(2, "big") + options


def _name(octets: int) -> bytes:
    """Return a wire name of so many octets, the final zero among them."""
    whole, rest = divmod(octets - 1, 64)
    name = (b"\x3f" + b"x" * 63) * whole
    return name + (bytes([rest - 1]) + b"y" * (rest - 1) if rest else b"") + b"\x00"


_DROPPED = {
    "nothing": (b"", Drop.SHORT),
    "a header that is cut": (_message()[:11], Drop.SHORT),
    "a response": (_message(flags=0x8000), Drop.RESPONSE),
    "a response to an update": (_message(flags=0xA800), Drop.RESPONSE),
    "a response with nothing behind the header": (_message(b"", flags=0x8000, counts=(0, 0, 0, 0)), Drop.RESPONSE),
    "more than any query": (_with(_opt(bytes(MAX_QUERY))), Drop.LONG),
    "one octet too many": (_message() + bytes(MAX_QUERY + 1 - len(_message())), Drop.LONG),
}


@pytest.mark.parametrize(("octets", "reason"), _DROPPED.values(), ids=_DROPPED)
def test_what_is_dropped(octets: bytes, reason: Drop) -> None:
    """No answer goes to what is too short for an id, too long for a query, or an answer itself."""
    assert parse(octets) is reason


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    """Everything but QUERY gets NOTIMP, whatever follows the header: other opcodes count their sections otherwise."""
    notify = opcode == 4
    assert parse(_message(flags=opcode << 11)) == Rejection(Rcode.NOTIMP, _QNAME + _TAIL if notify else b"")
    assert parse(_message(b"", flags=opcode << 11, counts=(9, 9, 9, 9))) == Rejection(Rcode.NOTIMP)
    assert parse(_message(b"", flags=opcode << 11, counts=(0, 0, 0, 0))) == Rejection(Rcode.NOTIMP)


_SOA = _QNAME + b"\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16" + bytes(22)
_HERE = b"\xc0\x0c" + _SOA[len(_QNAME) :]
_BARE = edns(1232, 0, dnssec_ok=False)


def test_notify_is_not_implemented_whatever_it_tells() -> None:
    """With the SOA in its answer section (RFC 1996 section 3.7) the question comes back, and what EDNS asks for."""
    notify = _message(_QNAME + _TAIL + _HERE + _OPT, flags=0x2400, counts=(1, 1, 0, 1))
    assert parse(notify) == Rejection(Rcode.NOTIMP, _QNAME + _TAIL, _BARE)


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 7, 15])
def test_edns_is_found_behind_the_sections_of_other_opcodes(opcode: int) -> None:
    """UPDATE (RFC 2136 section 2) and the like: their first section is not repeated, for it may be no question."""
    update = _message(_QNAME + _TAIL + _HERE + _SOA + _OPT, flags=opcode << 11, counts=(1, 1, 1, 1))
    assert parse(update) == Rejection(Rcode.NOTIMP, b"", _BARE)


def test_stateful_operations_get_a_header() -> None:
    """A message of opcode 6 has no sections, so nothing behind its header is one (RFC 8490 section 5.4)."""
    keepalive = b"\x00\x01\x00\x08" + bytes(8)
    assert parse(_message(keepalive, flags=6 << 11, counts=(0, 0, 0, 0))) == Rejection(Rcode.NOTIMP)
    assert parse(_with(_OPT)[:2] + b"\x30\x00" + _with(_OPT)[4:]) == Rejection(Rcode.NOTIMP)


_UNREADABLE = {
    "two questions": _message((_QNAME + _TAIL) * 2, counts=(2, 0, 0, 0)),
    "257 questions": _message(counts=(257, 0, 0, 0)),
    "no octet of the question": _message(b""),
    "a name without end": _message(_QNAME[:-1]),
    "a label that is cut": _message(b"\x05abc"),
    "no type": _message(_QNAME),
    "half a class": _message(_QNAME + _TAIL[:3]),
    "a pointer to itself": _message(b"\xc0\x0c" + _TAIL),
    "a pointer behind a label": _message(b"\x01a\xc0\x0c" + _TAIL),
    "a pointer into the header": _message(b"\xc0\x00" + _TAIL),
    "a label of type 0x40": _message(b"\x41" + b"a" * 65 + b"\x00" + _TAIL),
    "a label of type 0x80": _message(b"\x80" + b"a" * 128 + b"\x00" + _TAIL),
    "a name of 256 octets": _message(_name(256) + _TAIL),
    "a name of 300 octets": _message(_name(300) + _TAIL),
    "a name of 4000 octets": _message(_name(4000) + _TAIL),
}


@pytest.mark.parametrize("octets", _UNREADABLE.values(), ids=_UNREADABLE)
def test_what_is_no_question(octets: bytes) -> None:
    """Rubbish where the question should be is FORMERR, and nothing behind it is looked at."""
    assert parse(octets) == Rejection(Rcode.FORMERR)


_DNSSEC_OK = edns(1232, 0, dnssec_ok=True)
_MALFORMED = {
    "256 additional records": (_with(_OPT, number=256), _BARE),
    "seventeen records": (_with(*[_TSIG] * 16, _OPT), None),
    "a seventeenth record that is not there": (_with(_OPT, *[_TSIG] * 15, number=17), _BARE),
    "an octet too many": (_message() + b"\x00", None),
    "an octet behind OPT": (_with(_OPT) + b"\x00", _BARE),
    "OPT that is not counted": (_with(_OPT, number=0), None),
    "OPT that is not there": (_with(number=1), None),
    "two OPT": (_with(_OPT, _OPT), _BARE),
    "OPT below the root": (_with(_opt(owner=b"\x01a\x00")), _DNSSEC_OK),
    "OPT owned by a pointer": (_with(_opt(owner=b"\xc0\x0c")), _DNSSEC_OK),
    "OPT without its last octet": (_with(_OPT[:-1]), None),
    "OPT with half its options": (_with(_opt(_option(10, b"12345678"), length=20)), None),
    "OPT with a few octets more": (_with(_opt(b"\x00\x0a\x00")), _DNSSEC_OK),
    "an option longer than OPT": (_with(_opt(_option(10, b"12345678", length=9))), _DNSSEC_OK),
    "a second option longer than OPT": (_with(_opt(_option(3, b"") + _option(10, b"", length=1))), _DNSSEC_OK),
    "a record behind OPT that is cut": (_with(_OPT, _TSIG[:-1]), _BARE),
    "OPT in the answer section": (_message(_QNAME + _TAIL + _OPT, counts=(1, 1, 0, 0)), None),
    "OPT in the authority section": (_message(_QNAME + _TAIL + _OPT, counts=(1, 0, 1, 0)), None),
    "a second OPT in the answer section": (_message(_QNAME + _TAIL + _OPT * 2, counts=(1, 1, 0, 1)), _BARE),
    "a record whose owner has no end": (_with(b"\x05abc"), None),
    "a record whose owner is a label of type 0x40": (_with(b"\x41" + b"a" * 65 + _TSIG[4:]), None),
}


@pytest.mark.parametrize(("octets", "asked"), _MALFORMED.values(), ids=_MALFORMED)
def test_what_is_malformed(octets: bytes, asked: Edns | None) -> None:
    """Rubbish behind a question is FORMERR, with the question, and with EDNS if there was any (RFC 6891 section 7)."""
    assert parse(octets) == Rejection(Rcode.FORMERR, _QNAME + _TAIL, asked)


def test_a_message_without_a_question_is_told_apart() -> None:
    """If all else is in order: a cookie may be what it asks for (RFC 7873 section 5.4)."""
    assert parse(_message(b"", counts=(0, 0, 0, 0))) == Rejection(Rcode.FORMERR, asks_nothing=True)
    assert parse(_message(_OPT, counts=(0, 0, 0, 1))) == Rejection(Rcode.FORMERR, b"", _BARE, asks_nothing=True)
    assert parse(_message(_OPT * 2, counts=(0, 0, 0, 2))) == Rejection(Rcode.FORMERR, b"", _BARE)


_SOUND = {
    "no OPT": (_message(), None),
    "OPT": (_with(_OPT), edns(1232, 0, dnssec_ok=False)),
    "DO": (_with(_opt()), edns(1232, 0, dnssec_ok=True)),
    "a later version": (_with(_opt(version=1)), edns(1232, 1, dnssec_ok=True)),
    "1000 options": (
        _with(_opt(_option(3, b"") * 1000)),
        edns(1232, 0, dnssec_ok=True, options=_option(3, b"") * 1000),
    ),
    "an empty option at the end": (
        _with(_opt(_option(10, b"12345678") + _option(3, b""))),
        edns(1232, 0, dnssec_ok=True, options=_option(10, b"12345678") + _option(3, b"")),
    ),
    "a record behind OPT": (_with(_OPT, _TSIG), edns(1232, 0, dnssec_ok=False)),
    "a record before OPT": (_with(_TSIG, _OPT), edns(1232, 0, dnssec_ok=False)),
    "a record without OPT": (_with(_TSIG), None),
    "a record that is owned by a pointer": (_with(_OPT, b"\xc0\x0c" + _TSIG[5:]), edns(1232, 0, dnssec_ok=False)),
    "a record that is owned by a name that goes on": (_with(b"\x01x\xc0\x0c" + _TSIG[5:]), None),
    "an answer": (_message(_QNAME + _TAIL + _SOA + _OPT, counts=(1, 1, 0, 1)), edns(1232, 0, dnssec_ok=False)),
    "an authority": (_message(_QNAME + _TAIL + _HERE, counts=(1, 0, 1, 0)), None),
    "sixteen records": (_with(*[_TSIG] * 15, _OPT), edns(1232, 0, dnssec_ok=False)),
    "the longest query": (
        _with(_opt(_option(12, bytes(MAX_QUERY - len(_with(_opt())) - 4)))),
        edns(1232, 0, dnssec_ok=True, options=_option(12, bytes(MAX_QUERY - len(_with(_opt())) - 4))),
    ),
}


@pytest.mark.parametrize(("octets", "asked"), _SOUND.values(), ids=_SOUND)
def test_what_is_a_query(octets: bytes, asked: Edns | None) -> None:
    """The question is kept as it came and folded for lookup, of the rest only EDNS counts.

    Records in other sections are ignored, as by Knot and BIND: no RFC has an error for them.
    """
    assert parse(octets) == Query(0, _QNAME + _TAIL, _QNAME.lower(), 15, 1, asked)


def test_names_may_have_255_octets_of_any_kind() -> None:
    """255 octets are a name (RFC 1035 2.3.4), and a label may hold any octet (RFC 2181 section 11)."""
    longest = _name(255)
    found = parse(_message(longest + _TAIL))
    assert isinstance(found, Query)
    assert found.qname == longest
    odd = b"\x04\x00\xff.A\x00"
    found = parse(_message(odd + _TAIL))
    assert isinstance(found, Query)
    assert found.qname == b"\x04\x00\xff.a\x00"
    assert isinstance(parse(_message(b"\x00" + _TAIL)), Query)


def test_only_letters_of_the_name_are_folded() -> None:
    """QTYPE 65 is the letter A: it stays 65."""
    found = parse(question("WWW.lb.test HTTPS"))
    assert isinstance(found, Query)
    assert (found.qname, found.qtype) == (b"\x03www\x02lb\x04test\x00", 65)


def test_flags_are_handed_on() -> None:
    """All sixteen bits reach the response's maker."""
    found = parse(_message(flags=0x07FF))
    assert isinstance(found, Query)
    assert found.flags == 0x07FF
