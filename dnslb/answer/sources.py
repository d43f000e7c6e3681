"""Which clients count as one: those of one network, for they may be one sender behind several addresses."""

from ipaddress import IPv4Network, IPv6Network
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


def network_of(prefix: bytes) -> IPv4Network | IPv6Network:
    """Return the network of a `prefix_of` some address, for people."""
    if len(prefix) == _V4_OCTETS:
        return IPv4Network((prefix.ljust(4, b"\0"), V4_PREFIX))
    return IPv6Network((prefix.ljust(16, b"\0"), V6_PREFIX))


def bucket_of(address: bytes) -> int:
    """Return the client's place in a ring that is entered by source, from 0: the same in every process and run.

    CRC-32, because it is fast and never sends neighbouring networks to one place; what is there was drawn by a better
    hash (see pool/rendezvous).
    """
    return crc32(prefix_of(address)) % BUCKETS
