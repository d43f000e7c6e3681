"""Record data of the types that services answer with, built by dnslib (the one module that uses it).

All names are uncompressed. dnslib packs into a bytearray: what leaves here is bytes. It takes about 15 us for a
record, and a flip of one member compiles the same few records again: so they are remembered.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import dnslib

from dnslb.wire import name, rrtype


@lru_cache(maxsize=1 << 16)
def address(value: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """Return the record type, A or AAAA, and the record data of an address."""
    if isinstance(value, IPv4Address):
        return rrtype.A, _pack(dnslib.A(str(value)))
    return rrtype.AAAA, _pack(dnslib.AAAA(str(value)))


def mx(preference: int, target: bytes) -> bytes:
    """Return MX record data (RFC 1035 section 3.3.9)."""
    return preference.to_bytes(2, "big") + _mx_to(target)[2:]


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Return SRV record data (RFC 2782)."""
    return _pack(dnslib.SRV(priority, weight, port, _label(target)))


@lru_cache(maxsize=1 << 16)
def _mx_to(target: bytes) -> bytes:
    return _pack(dnslib.MX(_label(target), 0))


def _label(wire: bytes) -> dnslib.DNSLabel:
    return dnslib.DNSLabel(list(name.labels(wire)))


def _pack(data: dnslib.RD) -> bytes:
    buffer = dnslib.DNSBuffer()
    data.pack(buffer)
    return bytes(buffer.data)
