"""Records in a response, compressed against the question only.

The question stands at octet 12 and has a fixed length for a given name, so a record that points nowhere else does not
depend on its own position: an answer is a join of such records, in any order (RFC 1035 section 4.1.4).
"""

from collections.abc import Iterator, Mapping
from struct import Struct

from dnslb.wire import header, name, rrtype

QNAME_POINTER = b"\xc0\x0c"
_FIXED = Struct("!HHIH")
SHORTEST = 12
"""Octets of the shortest record: a pointer as its owner, and no data."""
_POINTER = 0xC0
"""The first octet of a name that is a pointer is at least this."""
_NAME_OFFSETS = {rrtype.NS: 0, rrtype.CNAME: 0, rrtype.PTR: 0, rrtype.MX: 2}
"""Where the single name in the record data begins, for the types whose names may be compressed (RFC 3597 section 4)."""


def pointer(offset: int) -> bytes:
    """Return a compression pointer to an offset below 16384."""
    return (_POINTER << 8 | offset).to_bytes(2, "big")


def suffixes(question_name: bytes) -> dict[bytes, bytes]:
    """Return each name that a record may point at -> its pointer: the question's name and the names above it."""
    places = {}
    offset = header.SIZE
    for suffix in name.ancestors(question_name):
        if suffix != name.ROOT:
            places[suffix] = pointer(offset)
            offset += suffix[0] + 1
    return places


def compress(wire_name: bytes, places: Mapping[bytes, bytes]) -> bytes:
    """Return the name with its longest known suffix replaced by a pointer; the case of what is kept is kept."""
    folded = wire_name.lower()
    for suffix in name.ancestors(folded):
        place = places.get(suffix)
        if place is not None:
            return wire_name[: len(wire_name) - len(suffix)] + place
    return wire_name


def compress_rdata(rtype: int, rdata: bytes, places: Mapping[bytes, bytes]) -> bytes:
    """Return record data whose name, if its type may be compressed, points into the question."""
    offset = _NAME_OFFSETS.get(rtype)
    if offset is None:
        return rdata
    return rdata[:offset] + compress(rdata[offset:], places)


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes, rclass: int = rrtype.CLASS_IN) -> bytes:
    """Return one record. The owner is a name or a pointer."""
    return owner + _FIXED.pack(rtype, rclass, ttl, len(rdata)) + rdata


def rewritten(question: bytes, section: bytes, places: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield the records of a section that stood behind one question so that they may stand behind another one.

    `section` is octets of ours that point into the question or into themselves; `places` are those of the other
    question (see `suffixes`). Owners come out in lower case, so that equal records are equal octets.
    """
    message = bytes(header.SIZE) + question + section
    position = header.SIZE + len(question)
    # An RRset says its owner with each record.
    known: dict[bytes, bytes] = {}
    while position < len(message):
        name_at, start = _name_at(message, position)
        said = message[position:start]
        owner = known.get(said) or known.setdefault(said, compress(name_at.lower(), places))
        rtype, _, ttl, length = _FIXED.unpack_from(message, start)
        position = start + _FIXED.size + length
        data = _written_out(message, start + _FIXED.size, length, rtype)
        yield record(owner, rtype, ttl, compress_rdata(rtype, data, places))


def _written_out(message: bytes, start: int, length: int, rtype: int) -> bytes:
    """Return record data without pointers."""
    offset = _NAME_OFFSETS.get(rtype)
    if offset is None:
        return message[start : start + length]
    return message[start : start + offset] + _name_at(message, start + offset)[0]


def _name_at(message: bytes, start: int) -> tuple[bytes, int]:
    """Return a name without pointers, and where it ends."""
    position = start
    while 0 < (length := message[position]) < _POINTER:
        position += 1 + length
    if not length:
        return message[start : position + 1], position + 1
    target = int.from_bytes(message[position : position + 2], "big") - (_POINTER << 8)
    return message[start:position] + _name_at(message, target)[0], position + 2
