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
_OPT_FIXED = 10
_MAX_ADDITIONAL = 2


class Drop(Enum):
    """Why a message gets no answer; the value is the metric's label."""

    SHORT = "short"
    LONG = "long"
    RESPONSE = "response"


class Rejection(NamedTuple):
    """A message that gets an error with nothing of its content but the id and flags."""

    rcode: Rcode


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


FORMERR = Rejection(Rcode.FORMERR)
NOTIMP = Rejection(Rcode.NOTIMP)


def parse(octets: bytes) -> Query | Rejection | Drop:
    """Return what the octets are, reading each at most once."""
    refused = _refused_by_header(octets)
    if refused is not None:
        return refused
    end = _end_of_name(octets, header.SIZE)
    if end is None or end + 4 > len(octets):
        return FORMERR
    opt = _read_additional(octets, end + 4)
    if isinstance(opt, Rejection):
        return opt
    return Query(
        int.from_bytes(octets[2:4], "big"),
        octets[header.SIZE : end + 4],
        octets[header.SIZE : end].lower(),
        int.from_bytes(octets[end : end + 2], "big"),
        int.from_bytes(octets[end + 2 : end + 4], "big"),
        opt,
    )


def _refused_by_header(octets: bytes) -> Rejection | Drop | None:
    """Refuse early, from the length and the header alone."""
    if len(octets) < header.SIZE:
        return Drop.SHORT
    if len(octets) > MAX_QUERY:
        return Drop.LONG
    if octets[2] & 0x80:
        return Drop.RESPONSE
    if octets[2] & 0x78:
        return NOTIMP
    if octets[4:6] != b"\x00\x01" or octets[6:10] != b"\x00\x00\x00\x00":
        return FORMERR
    if int.from_bytes(octets[10:12], "big") > _MAX_ADDITIONAL:
        return FORMERR
    return None


def _end_of_name(octets: bytes, start: int) -> int | None:
    """Return the offset behind an uncompressed name, None if it is not one within the octets."""
    position = start
    size = len(octets)
    while position < size:
        length = octets[position]
        position += 1 + length
        if not length:
            return position if position - start <= name.MAX_NAME else None
        if length > name.MAX_LABEL:
            return None
    return None


def _read_additional(octets: bytes, position: int) -> Edns | Rejection | None:
    """Return what the OPT record asks for, None if there is none; all octets must be accounted for."""
    number = octets[11]
    if number == 1 and len(octets) - position == BARE_SIZE:
        common = COMMON.get(octets[position:])
        if common is not None:
            return common
    return _walk_additional(octets, position, number)


def _walk_additional(octets: bytes, position: int, number: int) -> Edns | Rejection | None:
    """Read each record. Others than OPT, such as a TSIG, are stepped over; rubbish is FORMERR."""
    found = None
    for _ in range(number):
        after_name = _end_of_name(octets, position)
        if after_name is None or after_name + _OPT_FIXED > len(octets):
            return FORMERR
        end = after_name + _OPT_FIXED + int.from_bytes(octets[after_name + 8 : after_name + 10], "big")
        if end > len(octets):
            return FORMERR
        if int.from_bytes(octets[after_name : after_name + 2], "big") == rrtype.OPT:
            # One OPT, owned by the root, of well-formed options (RFC 6891 section 6.1.1).
            options = octets[after_name + _OPT_FIXED : end]
            if found is not None or after_name != position + 1 or not are_options(options, 0):
                return FORMERR
            found = _edns(octets, after_name, options)
        position = end
    return found if position == len(octets) else FORMERR


def _edns(octets: bytes, position: int, options: bytes) -> Edns:
    payload = int.from_bytes(octets[position + 2 : position + 4], "big")
    flags = int.from_bytes(octets[position + 6 : position + 8], "big")
    return edns(payload, octets[position + 5], dnssec_ok=bool(flags & DO), options=options)
