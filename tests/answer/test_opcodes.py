"""Other opcodes than QUERY: each is answered as by a server that has never heard of it."""

import pytest

from dnslb.answer import tally
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.wire.header import Rcode
from tests.conftest import CLIENT, question, snapshot, zone

_SNAPSHOT = snapshot(zone("www A 192.0.2.1"))
_QUESTION = question("lb.test SOA")[12:]
_SOA = b"\xc0\x0c\0\6\0\1\0\0\0\0\0\x16" + bytes(22)
_DELETE = b"\3www\xc0\x0c\0\1\0\xff\0\0\0\0\0\0"
_OPT = b"\0\0\x29\4\xd0\0\0\0\0\0\0"


def _message(opcode: int, *counts: int, flags: int = 0) -> bytes:
    numbers = (4711, opcode << 11 | flags, *counts)
    return b"".join(number.to_bytes(2, "big") for number in numbers)


_CASES = {
    "IQUERY (RFC 3425)": (_message(1, 0, 1, 0, 0) + b"\0" + _SOA[2:], _message(1, 0, 0, 0, 0)),
    "STATUS": (_message(2, 1, 0, 0, 1) + _QUESTION + _OPT, _message(2, 0, 0, 0, 1) + _OPT),
    "NOTIFY (RFC 1996 section 3.7)": (
        _message(4, 1, 1, 0, 0, flags=0x0400) + _QUESTION + _SOA,
        _message(4, 1, 0, 0, 0) + _QUESTION,
    ),
    "NOTIFY with EDNS": (_message(4, 1, 1, 0, 1) + _QUESTION + _SOA + _OPT, _message(4, 1, 0, 0, 1) + _QUESTION + _OPT),
    "UPDATE (RFC 2136 section 2)": (
        _message(5, 1, 1, 1, 0) + _QUESTION + _SOA + _DELETE,
        _message(5, 0, 0, 0, 0),
    ),
    "UPDATE with EDNS": (_message(5, 1, 0, 1, 1) + _QUESTION + _DELETE + _OPT, _message(5, 0, 0, 0, 1) + _OPT),
    "UPDATE with more than is read": (
        _message(5, 1, 0, 17, 1) + _QUESTION + _DELETE * 17 + _OPT,
        _message(5, 0, 0, 0, 0),
    ),
    "DSO (RFC 8490 section 5.1.1)": (_message(6, 0, 0, 0, 0) + b"\0\1\0\x08" + bytes(8), _message(6, 0, 0, 0, 0)),
    "unknown": (_message(15, 1, 0, 0, 0, flags=0x0110) + _QUESTION, _message(15, 0, 0, 0, 0, flags=0x0110)),
    "unknown, a header": (_message(15, 0, 0, 0, 0), _message(15, 0, 0, 0, 0)),
    "unknown, junk": (_message(9, 3, 9, 9, 9) + b"junk", _message(9, 0, 0, 0, 0)),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("query", "expected"), _CASES.values(), ids=_CASES)
def test_it_is_not_implemented(query: bytes, expected: bytes, *, stream: bool) -> None:
    """NOTIMP, with EDNS where that was found; never FORMERR, for their sections are none of ours."""
    flags = (int.from_bytes(expected[2:4], "big") | 0x8000 | Rcode.NOTIMP).to_bytes(2, "big")
    response, slot = respond(query, _SNAPSHOT, Turns(0), CLIENT, stream=stream)
    assert response == expected[:2] + flags + expected[4:]
    assert slot == tally.answered(0, Rcode.NOTIMP)
