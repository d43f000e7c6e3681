"""Records in a response, compressed against the question only.

The question stands at octet 12 and has a fixed length for a given name, so a record that points nowhere else does not
depend on its own position: an answer is a join of such records, in any order (RFC 1035 section 4.1.4).
"""

from collections.abc import Mapping
from struct import Struct

from dnslb.wire import header, name, rrtype

QNAME_POINTER = b"\xc0\x0c"
_FIXED = Struct("!HHIH")
_NAME_OFFSETS = {rrtype.NS: 0, rrtype.CNAME: 0, rrtype.PTR: 0, rrtype.MX: 2}
"""Where the single name in the record data begins, for the types whose names may be compressed (RFC 3597 section 4)."""


def pointer(offset: int) -> bytes:
    """Return a compression pointer to an offset below 16384."""
    return (0xC000 | offset).to_bytes(2, "big")


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


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """Return one record of class IN. The owner is a name or a pointer."""
    return owner + _FIXED.pack(rtype, rrtype.CLASS_IN, ttl, len(rdata)) + rdata
