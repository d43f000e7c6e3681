"""The gate: octets from the network become a Query, or the reason why they do not.

One walk over the octets, no recursion and no library: the cost is bounded by the length whatever the content. What
must be answered at all is RFC 8906's matter; a response (QR) is never answered, lest two servers talk for ever.
"""

from enum import Enum
from typing import NamedTuple

from dnslb.wire import header, name, rrtype
from dnslb.wire.edns import BARE_SIZE, COMMON, DO, Edns, are_options, edns
from dnslb.wire.header import Rcode

MAX_QUERY = 4096
"""Octets. No query that an authoritative server without TSIG or UPDATE understands is longer."""
_MOST_RECORDS = 16
"""Behind the question: a query that is understood has two of them."""
_RECORD_FIXED = 10
"""Octets of a record between its owner and its data."""
_OPCODE = 0x78
_NOTIFY, _DSO = 4 << 3, 6 << 3
_OPT = rrtype.OPT.to_bytes(2, "big")
_ONE_ADDITIONAL = header.counts(0, 0, 1)[2:]


class Drop(Enum):
    """Why a message gets no answer; the value is the metric's label."""

    SHORT = "short"
    LONG = "long"
    RESPONSE = "response"


class Rejection(NamedTuple):
    """A message that gets an error, with what could be read of it: the question, and what its OPT record asks for.

    Of an OPT record that breaks the rules the `edns` has no options. `asks_nothing` is for a sound message that has no
    question: it may be for a cookie (RFC 7873 section 5.4).
    """

    rcode: Rcode
    question: bytes = b""
    edns: Edns | None = None
    asks_nothing: bool = False


class Query(NamedTuple):
    """One well-formed standard query.

    `question` is the octets of QNAME, QTYPE and QCLASS as they came (0x20 case kept); `qname` is lower case.
    """

    flags: int
    question: bytes
    qname: bytes
    qtype: int
    qclass: int
    edns: Edns | None


def parse(octets: bytes) -> Query | Rejection | Drop:
    """Return what the octets are, reading each at most once."""
    dropped = _dropped(octets)
    if dropped is not None:
        return dropped
    opcode = octets[2] & _OPCODE
    end = _end_of_question(octets)
    if end is None or opcode == _DSO:
        # A DSO message has no sections (RFC 8490 section 5.4).
        return Rejection(Rcode.NOTIMP if opcode else Rcode.FORMERR)
    opt, sound = _read_records(octets, end)
    question = octets[header.SIZE : end]
    if opcode:
        # What others have in the first section need not be a question.
        return Rejection(Rcode.NOTIMP, question if opcode == _NOTIFY else b"", opt)
    if not sound or not question:
        return Rejection(Rcode.FORMERR, question, opt, asks_nothing=sound)
    return Query(
        int.from_bytes(octets[2:4], "big"),
        question,
        question[:-4].lower(),
        int.from_bytes(question[-4:-2], "big"),
        int.from_bytes(question[-2:], "big"),
        opt,
    )


def _dropped(octets: bytes) -> Drop | None:
    """Drop what is no message, or not for a server, by its length and header alone."""
    if len(octets) < header.SIZE:
        return Drop.SHORT
    if len(octets) > MAX_QUERY:
        return Drop.LONG
    return Drop.RESPONSE if octets[2] & 0x80 else None


def _end_of_question(octets: bytes) -> int | None:
    """Return the offset behind the only question, or behind the header if there is none; None if it is something else.

    More than one is a format error (RFC 9619 section 4).
    """
    number = int.from_bytes(octets[4:6], "big")
    if not number:
        return header.SIZE
    end = _end_of_name(octets, header.SIZE) if number == 1 else None
    return end + 4 if end is not None and end + 4 <= len(octets) else None


def _end_of_name(octets: bytes, start: int, *, compressed: bool = False) -> int | None:
    """Return the offset behind a name, None if it is not one within the octets. It ends with a pointer if it may.

    Where that leads does not matter: names behind the question are stepped over.
    """
    position = start
    last = min(len(octets), start + name.MAX_NAME)
    while position < last:
        length = octets[position]
        if compressed and length >= name.POINTER:
            return position + 2
        position += 1 + length
        if not length:
            return position
        if length > name.MAX_LABEL:
            return None
    return None


def _read_records(octets: bytes, position: int) -> tuple[Edns | None, bool]:
    """Return what the OPT record asks for, None if there is none, and whether all behind the question is in order."""
    if octets[6:12] == _ONE_ADDITIONAL and len(octets) - position == BARE_SIZE:
        common = COMMON.get(octets[position:])
        if common is not None:
            return common, True
    return _walk_records(octets, position)


def _walk_records(octets: bytes, position: int) -> tuple[Edns | None, bool]:
    """Step over each record, such as the SOA of an IXFR and a TSIG; all octets must be accounted for."""
    numbers = [int.from_bytes(octets[place : place + 2], "big") for place in (6, 8, 10)]
    before, total = numbers[0] + numbers[1], sum(numbers)
    found, sound = None, total <= _MOST_RECORDS
    for number in range(min(total, _MOST_RECORDS)):
        fixed = _end_of_name(octets, position, compressed=True)
        end = _end_of_record(octets, fixed)
        if fixed is None or end is None:
            return found, False
        if octets[fixed : fixed + 2] == _OPT:
            # One OPT, owned by the root, in the additional section, of well-formed options (RFC 6891 section 6.1.1).
            options = octets[fixed + _RECORD_FIXED : end]
            sound = (
                sound
                and found is None
                and number >= before
                and fixed == position + 1
                and are_options(options, 0, MAX_QUERY)
            )
            if number >= before:
                found = _edns(octets, fixed, options if sound else b"")
        position = end
    return found, sound and position == len(octets)


def _end_of_record(octets: bytes, fixed: int | None) -> int | None:
    """Return the offset behind a record whose owner ends at `fixed`, None if the octets end before."""
    if fixed is None or fixed + _RECORD_FIXED > len(octets):
        return None
    end = fixed + _RECORD_FIXED + int.from_bytes(octets[fixed + 8 : fixed + _RECORD_FIXED], "big")
    return end if end <= len(octets) else None


def _edns(octets: bytes, position: int, options: bytes) -> Edns:
    payload = int.from_bytes(octets[position + 2 : position + 4], "big")
    flags = int.from_bytes(octets[position + 6 : position + 8], "big")
    return edns(payload, octets[position + 5], dnssec_ok=bool(flags & DO), options=options)
