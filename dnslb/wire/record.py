"""Records in a response, compressed against the question only.

The question stands at octet 12 and has a fixed length for a given name, so a record that points nowhere else does not
depend on its own position: an answer is a join of such records, in any order (RFC 1035 section 4.1.4).
"""

from bisect import bisect_left
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from dnslb.wire import header, name, rrtype

QNAME_POINTER = b"\xc0\x0c"
_FIXED = Struct("!HHIH")
SHORTEST = 12
"""Octets of the shortest record: a pointer as its owner, and no data."""
_TAIL = 4
"""Octets of a question behind its name."""
_NAME_OFFSETS = {rrtype.NS: 0, rrtype.CNAME: 0, rrtype.PTR: 0, rrtype.MX: 2}
"""Where the single name in the record data begins, for the types whose names may be compressed (RFC 3597 section 4)."""


def pointer(offset: int) -> bytes:
    """Return a compression pointer to an offset below 16384."""
    return (name.POINTER << 8 | offset).to_bytes(2, "big")


class Places(NamedTuple):
    """Where records may point: to a question's name, lower case, and the names above it.

    `sizes` are the octets of each of these, and `number` is the name as one.
    """

    name: bytes = b""
    sizes: frozenset[int] = frozenset()
    number: int = 0


NOWHERE = Places()


def suffixes(question_name: bytes) -> Places:
    """Return what records behind a question may point at: its name and the names above it, but for the root."""
    size = len(question_name)
    sizes = frozenset([size - start for start in name.starts(question_name)])
    return Places(question_name, sizes, int.from_bytes(question_name, "big"))


def compress(wire_name: bytes, places: Places) -> bytes:
    """Return the name with its longest known suffix replaced by a pointer; the case of what is kept is kept.

    What two names share at their ends is the low octets in which they differ by nothing, as numbers: so no suffix has
    to be looked up, of which names of a hundred labels have a hundred.
    """
    folded = wire_name.lower()
    size = len(folded)
    difference = int.from_bytes(folded, "big") ^ places.number
    shared = ((difference & -difference).bit_length() - 1) // 8 if difference else size
    starts = name.starts(folded)
    for start in starts[bisect_left(starts, size - shared) :]:
        if size - start in places.sizes:
            return wire_name[:start] + pointer(header.SIZE + len(places.name) - size + start)
    return wire_name


def compress_rdata(rtype: int, rdata: bytes, places: Places) -> bytes:
    """Return record data whose name, if its type may be compressed, points into the question."""
    offset = _NAME_OFFSETS.get(rtype)
    if offset is None:
        return rdata
    return rdata[:offset] + compress(rdata[offset:], places)


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes, rclass: int = rrtype.CLASS_IN) -> bytes:
    """Return one record. The owner is a name or a pointer."""
    return owner + _FIXED.pack(rtype, rclass, ttl, len(rdata)) + rdata


def rewritten(question: bytes, section: bytes, places: Places) -> Iterator[bytes]:
    """Yield the records of a section that stood behind one question so that they may stand behind another one.

    `section` is octets of ours that point into the question or into themselves; `places` are those of the other
    question (see `suffixes`). Owners come out in lower case, so that equal records are equal octets.
    """
    message = bytes(header.SIZE) + question + section
    position = begin = header.SIZE + len(question)
    # An RRset says its owner with each record.
    known: dict[bytes, bytes] = {}
    while position < len(message):
        last = last_of_name(message, position)
        fixed = last + (2 if message[last] else 1)
        said = message[position:fixed]
        owner = known.get(said) or known.setdefault(said, compress(_name_at(message, position, begin).lower(), places))
        rtype, _, ttl, length = _FIXED.unpack_from(message, fixed)
        data = fixed + _FIXED.size
        position = data + length
        offset = _NAME_OFFSETS.get(rtype)
        if offset is None:
            yield owner + message[fixed:position]
        else:
            target = compress(_name_at(message, data + offset, begin), places)
            yield record(owner, rtype, ttl, message[data : data + offset] + target)


def last_of_name(message: bytes, position: int) -> int:
    """Return where the name that begins there has its root label or its pointer."""
    while 0 < (length := message[position]) < name.POINTER:
        position += 1 + length
    return position


def _name_at(message: bytes, start: int, begin: int) -> bytes:
    """Return a name without pointers. `begin` is where the records do: what is pointed at before it is the question."""
    last = last_of_name(message, start)
    if not message[last]:
        return message[start : last + 1]
    target = int.from_bytes(message[last : last + 2], "big") - (name.POINTER << 8)
    above = message[target : begin - _TAIL] if target < begin else _name_at(message, target, begin)
    return message[start:last] + above
