"""Record data of the types that services answer with, built by dnslib (the one module that uses it).

All names are uncompressed. dnslib packs into a bytearray: what leaves here is bytes.
"""

from ipaddress import IPv4Address, IPv6Address

import dnslib

from dnslb.wire import name, rrtype


def address(value: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """Return the record type, A or AAAA, and the record data of an address."""
    if isinstance(value, IPv4Address):
        return rrtype.A, _pack(dnslib.A(str(value)))
    return rrtype.AAAA, _pack(dnslib.AAAA(str(value)))


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
