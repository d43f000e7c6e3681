"""What a service offers to its clients: the variants of its ring as hosts and addresses, and whose they are."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from math import lcm
from typing import NamedTuple

from dnslb.answer.service import Service, ServiceType
from dnslb.answer.variants import Listing, address_ring, mx_ring, srv_listing
from dnslb.pool.member import Member
from dnslb.pool.selection import Selection
from dnslb.wire import rdata, rrtype

FAMILIES = (rrtype.A, rrtype.AAAA)
_MOST = 4096
"""More pairs of an A and an AAAA answer need not be looked at: two rings of 64 have at most as many."""

Address = IPv4Address | IPv6Address


class Place(NamedTuple):
    """One address in an answer, and the member whose it is."""

    member: str
    address: Address


class Host(NamedTuple):
    """One name in an answer with its addresses: `preference` is the MX preference or the SRV priority."""

    places: tuple[Place, ...]
    preference: int = 0
    weight: int = 0


Offer = tuple[Host, ...]
"""One variant: all that a client learns at one time. Of an address service that is one host, of several members."""


def offers(service: Service, selection: Selection, families: Sequence[int] = FAMILIES) -> tuple[Offer, ...]:
    """Return the variants that clients are offered, addresses of the given families (record types) only.

    Of an address service a client that asks for both families learns an A and an AAAA answer: one of each goes together
    as both rings go round at one pace. Addresses of a member's host are offered as configured, though a zone of others
    may hold them.
    """
    if service.type is ServiceType.ADDRESS:
        return tuple(_addresses(service, selection, families))
    listing = mx_ring(service, selection) if service.type is ServiceType.MX else srv_listing(selection)
    return tuple(_listed(listing, families))


def _addresses(service: Service, selection: Selection, families: Sequence[int]) -> Iterator[Offer]:
    rings = [ring for rtype in families if (ring := _ring(service, selection, rtype))]
    for turn in range(min(lcm(*map(len, rings)), _MOST) if rings else 0):
        yield (Host(tuple(place for ring in rings for place in ring[turn % len(ring)])),)


def _ring(service: Service, selection: Selection, rtype: int) -> list[tuple[Place, ...]]:
    octets, ring = address_ring(service, selection, rtype)
    # Members may share an address: each stands in the ring for itself, in the order in which they are published.
    owners: defaultdict[bytes, list[Place]] = defaultdict(list)
    for choice in selection.published:
        for address in choice.member.addresses:
            owners[address.packed].append(Place(choice.member.name, address))
    places = [owners[packed].pop(0) for packed in octets]
    return [tuple(places[index] for index in variant) for variant in ring]


def _listed(listing: Listing, families: Sequence[int]) -> Iterator[Offer]:
    hosts = [
        Host(tuple(_places(record.member, families)), record.preference, record.weight) for record in listing.records
    ]
    for variant in listing.ring:
        yield tuple(hosts[index] for index in variant)


def _places(member: Member, families: Iterable[int]) -> Iterator[Place]:
    for address in member.addresses:
        if rdata.address(address)[0] in families:
            yield Place(member.name, address)
