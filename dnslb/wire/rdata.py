"""Record data of the types that services answer with; names are uncompressed.

dnslib, which lives in this module only, builds what holds a name. It packs into a bytearray: what leaves here is bytes.
"""

from ipaddress import IPv4Address, IPv6Address

import dnslib

from dnslb.wire import name, rrtype


def address(value: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """Return the record type, A or AAAA, and the record data: the address (RFC 1035 3.4.1, RFC 3596 2.2)."""
    return (rrtype.A if isinstance(value, IPv4Address) else rrtype.AAAA), value.packed


def mx(preference: int, target: bytes) -> bytes:
    """Return MX record data (RFC 1035 section 3.3.9)."""
    return _pack(dnslib.MX(_label(target), preference))


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Return SRV record data (RFC 2782)."""
    return _pack(dnslib.SRV(priority, weight, port, _label(target)))


def _label(wire: bytes) -> dnslib.DNSLabel:
    return dnslib.DNSLabel(list(name.labels(wire)))


def _pack(data: dnslib.RD) -> bytes:
    buffer = dnslib.DNSBuffer()
    data.pack(buffer)
    return bytes(buffer.data)
