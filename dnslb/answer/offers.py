"""What a service offers to its clients: the variants of its ring as hosts and addresses, and whose they are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import lcm
from typing import NamedTuple

from dnslb.answer.service import Service, ServiceType
from dnslb.answer.sources import bucket_of
from dnslb.answer.variants import Listing, address_ring, mx_ring, srv_listing
from dnslb.pool.member import Address, Member
from dnslb.pool.rendezvous import BUCKETS
from dnslb.pool.selection import Selection
from dnslb.wire import rdata, rrtype

_MOST = 4096
"""More pairs of an A and an AAAA answer need not be looked at: two rings of 64 have at most as many."""


class Place(NamedTuple):
    """One address in an answer, and the member whose it is."""

    member: str
    address: Address


class Host(NamedTuple):
    """One name in an answer with its addresses, and its weight if the answer is of SRV records."""

    places: tuple[Place, ...]
    weight: int = 0


class Offer(NamedTuple):
    """What a client learns of the service at one time, the order left aside: nothing between here and there keeps it.

    `best` are the hosts of the best preference (all of an address service is one host, of several members). `members`
    are all that are named, `ipv4` and `ipv6` the numbers of their addresses. `times` says how many variants are alike.
    """

    best: tuple[Host, ...]
    members: frozenset[str]
    ipv4: int
    ipv6: int
    times: int


def offers(
    service: Service, selection: Selection, families: Sequence[int] = rrtype.ADDRESSES, client: bytes = b""
) -> tuple[Offer, ...]:
    """Return what clients are offered, addresses of the given families (record types) only.

    Where it depends on who asks, it is what the `client` is offered, or without one what all together are.

    Of an address service a client that asks for both families learns an A and an AAAA answer: one of each goes together
    as both rings go round at one pace. Addresses of a member's host are offered as configured, though a zone of others
    may hold them.
    """
    if service.type is ServiceType.ADDRESS:
        return tuple(_addresses(service, selection, families, client))
    listing = mx_ring(service, selection) if service.type is ServiceType.MX else srv_listing(selection)
    turns = _turns(len(listing.ring), selection, client)
    here = Listing(listing.records, [listing.ring[turn] for turn in turns])
    return tuple(_listed(here, families, service.view))


def _turns(length: int, selection: Selection, client: bytes) -> range:
    """Return the turns that can come in a ring of this length: with a client of its own place, only that."""
    if not (client and selection.by_source) or length < BUCKETS:
        return range(length)
    bucket = bucket_of(client)
    return range(bucket, bucket + 1)


def _addresses(service: Service, selection: Selection, families: Sequence[int], client: bytes) -> Iterator[Offer]:
    rings = [ring for rtype in families if (ring := _ring(service, selection, rtype))]
    turns = _turns(min(lcm(*map(len, rings)), _MOST) if rings else 0, selection, client)
    for sets, times in Counter(tuple(ring[turn % len(ring)] for ring in rings) for turn in turns).items():
        places = tuple(place for each in sets for place in each)
        yield Offer((Host(places),), frozenset(place.member for place in places), *_versions(places), times)


def _ring(service: Service, selection: Selection, rtype: int) -> list[frozenset[Place]]:
    octets, ring = address_ring(service, selection, rtype)
    # Members may share an address: each stands in the ring for itself, in the order in which they are published.
    owners: defaultdict[bytes, list[Place]] = defaultdict(list)
    for choice in selection.published:
        for address in choice.member.addresses_in(service.view):
            owners[address.packed].append(Place(choice.member.name, address))
    places = [owners[packed].pop(0) for packed in octets]
    # By number first: to hash an address takes longer than all else.
    known = {numbers: frozenset(places[number] for number in numbers) for numbers in Counter(map(frozenset, ring))}
    return [known[frozenset(variant)] for variant in ring]


def _listed(listing: Listing, families: Sequence[int], view: str) -> Iterator[Offer]:
    records = listing.records
    preferences = [record.preference for record in records]
    names = [record.member.name for record in records]
    alike = Counter(
        (_best(variant, preferences), frozenset(map(names.__getitem__, variant))) for variant in listing.ring
    )
    members_by_name = {record.member.name: record.member for record in records}
    places = {name: tuple(_places(member, families, view)) for name, member in members_by_name.items()}
    whole: dict[frozenset[str], tuple[int, int]] = {}
    for (best, members), times in alike.items():
        if members not in whole:
            whole[members] = _versions(place for member in members for place in places[member])
        hosts = tuple(Host(places[names[index]], records[index].weight) for index in sorted(best))
        yield Offer(hosts, members, *whole[members], times)


def _best(variant: Sequence[int], preferences: Sequence[int]) -> frozenset[int]:
    lowest = min(map(preferences.__getitem__, variant))
    return frozenset(index for index in variant if preferences[index] == lowest)


def _versions(places: Iterable[Place]) -> tuple[int, int]:
    """Return the numbers of IPv4 and IPv6 addresses."""
    found = Counter(place.address.version for place in places)
    return found[4], found[6]


def _places(member: Member, families: Iterable[int], view: str) -> Iterator[Place]:
    for address in member.addresses_in(view):
        if rdata.address(address)[0] in families:
            yield Place(member.name, address)
