"""Record data of the types that services answer with, names uncompressed; and records as text, for people.

dnslib, which lives in this module only, builds what holds a name, and reads responses of ours. It packs into a
bytearray: what leaves here is bytes.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import dnslib

from dnslb.wire import name, rrtype

_MAX_TYPE = 65_535
_MAX_STRING = 255

# dnslib reads most types; this one it would show as octets
dnslib.RDMAP.setdefault("DNAME", dnslib.CNAME)


def address(value: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """Return the record type, A or AAAA, and the record data: the address (RFC 1035 3.4.1, RFC 3596 2.2)."""
    return (rrtype.A if isinstance(value, IPv4Address) else rrtype.AAAA), value.packed


def mx(preference: int, target: bytes) -> bytes:
    """Return MX record data (RFC 1035 section 3.3.9)."""
    return _pack(dnslib.MX(_label(target), preference))


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Return SRV record data (RFC 2782)."""
    return _pack(dnslib.SRV(priority, weight, port, _label(target)))


def txt(text: str) -> bytes:
    """Return TXT record data for ASCII text: strings of up to 255 octets, to be read as one (RFC 1035 3.3.14)."""
    octets = text.encode("ascii")
    strings = [octets[at : at + _MAX_STRING] for at in range(0, len(octets), _MAX_STRING)] or [b""]
    return b"".join(bytes([len(string)]) + string for string in strings)


def _label(wire: bytes) -> dnslib.DNSLabel:
    return dnslib.DNSLabel(list(name.labels(wire)))


def _pack(data: dnslib.RD) -> bytes:
    buffer = dnslib.DNSBuffer()
    data.pack(buffer)
    return bytes(buffer.data)


class Line(NamedTuple):
    """One record as a zone file has it: names absolute with their final dot, the class IN left out."""

    owner: str
    ttl: int
    type: str
    data: str

    def __str__(self) -> str:
        return " ".join(map(str, self))


class Sections(NamedTuple):
    """The records of a response, without OPT."""

    answer: tuple[Line, ...]
    authority: tuple[Line, ...]
    additional: tuple[Line, ...]


def sections(response: bytes) -> Sections:
    """Return the records of a response of ours as text. What others send has to pass `wire.query` first."""
    record = dnslib.DNSRecord.parse(response)
    return Sections(_lines(record.rr), _lines(record.auth), _lines(record.ar))


def _lines(records: Iterable[dnslib.RR]) -> tuple[Line, ...]:
    return tuple(
        Line(str(record.rname), record.ttl, type_text(record.rtype), record.rdata.toZone())
        for record in records
        if record.rtype != rrtype.OPT
    )


def type_text(rtype: int) -> str:
    """Return a record type as a zone file has it: MX, or TYPE65280 (RFC 3597 section 5)."""
    text: str = dnslib.QTYPE[rtype]
    # dnslib has two types of one name, HIP: 55, which is that, and 53 (SMIMEA).
    return text if getattr(dnslib.QTYPE, text) == rtype else f"TYPE{rtype}"


def type_number(text: str) -> int:
    """Return a record type by its text, in any case. Raise ValueError for what is none."""
    try:
        rtype: int = getattr(dnslib.QTYPE, text.upper())
    except dnslib.DNSError:
        rtype = 0
    if not 0 < rtype <= _MAX_TYPE:
        raise ValueError(f"{text!r} is no record type: write for example A, MX, SRV or TYPE65280")
    return rtype
