"""Which clients count as one: those of one network, for they may be one sender behind several addresses."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from zlib import crc32

from dnslb.pool.rendezvous import BUCKETS

V4_PREFIX = 24
V6_PREFIX = 56
"""Bits of an address that say who asks. The rest is which host of a farm, or which address of a subscriber."""

_IPV4_OCTETS = 4
_V4_OCTETS, _V6_OCTETS = V4_PREFIX // 8, V6_PREFIX // 8


def prefix_of(address: bytes) -> bytes:
    """Return the octets of the client's network: the first 3 of an IPv4 address, the first 7 of an IPv6 address."""
    return address[:_V4_OCTETS] if len(address) == _IPV4_OCTETS else address[:_V6_OCTETS]


def prefix_length_of(address: bytes) -> int:
    """Return how many bits of an address say who asks."""
    return V4_PREFIX if len(address) == _IPV4_OCTETS else V6_PREFIX


def network_of(address: IPv4Address | IPv6Address) -> IPv4Network | IPv6Network:
    """Return the client's network, for people."""
    bits = V4_PREFIX if isinstance(address, IPv4Address) else V6_PREFIX
    return ip_network((address, bits), strict=False)


def bucket_of(address: bytes) -> int:
    """Return the client's place in a ring that is entered by source, from 0: the same in every process and run.

    CRC-32, because it is fast and never sends neighbouring networks to one place; what is there was drawn by a better
    hash (see pool/rendezvous).
    """
    return crc32(prefix_of(address)) % BUCKETS
