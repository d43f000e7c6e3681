"""What a client sees of an answer: members, with what may tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dnslb.answer.service import ServiceType
from dnslb.answer.variants import address_ring, mx_ring, srv_listing
from dnslb.pool.selection import best_tier
from dnslb.wire import rdata, rrtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dnslb.answer.service import Service
    from dnslb.answer.variants import Listing
    from dnslb.pool.member import Member
    from dnslb.pool.selection import Selection


class Record(NamedTuple):
    """One record: the member it leads to, its MX preference or SRV priority, and its SRV weight.

    `addresses` is how many the member's name has; an address record leads to one.
    """

    member: str
    preference: int = 0
    weight: int = 0
    addresses: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One answer. Each is itself alone, so that what follows from it can be kept under it."""

    records: tuple[Record, ...]

    @property
    def members(self) -> frozenset[str]:
        """The members it leads to."""
        return frozenset(record.member for record in self.records)


def ring_of(service: Service, selection: Selection) -> tuple[Answer, ...]:
    """Return the ring that workers go round for the service.

    Of an address service it is that of the A records, or AAAA if no published member has an IPv4 address.
    """
    if service.type is ServiceType.ADDRESS:
        return _addresses(service, selection)
    if service.type is ServiceType.MX:
        return _listed(mx_ring(service, selection))
    return _listed(srv_listing(selection))


def addresses_of(member: Member) -> int:
    """Return how many addresses of the family that is used most the member has: IPv4, or IPv6 if it has no other."""
    families = [rdata.address(address)[0] for address in member.addresses]
    return families.count(rrtype.A) or max(1, families.count(rrtype.AAAA))


def _addresses(service: Service, selection: Selection) -> tuple[Answer, ...]:
    for family in rrtype.ADDRESSES:
        octets, ring = address_ring(service, selection, family)
        if ring:
            # The same order in which `address_ring` lists them.
            owners = [
                Record(choice.member.name)
                for choice in best_tier(selection.published)
                for kind, _ in map(rdata.address, choice.member.addresses)
                if kind == family
            ]
            return _ring([owners[place] for place in range(len(octets))], ring)
    return ()


def _listed(listing: Listing) -> tuple[Answer, ...]:
    records = [
        Record(member.name, preference, weight, addresses_of(member)) for member, preference, weight in listing.records
    ]
    return _ring(records, listing.ring)


def _ring(records: Sequence[Record], ring: Iterable[tuple[int, ...]]) -> tuple[Answer, ...]:
    known: dict[tuple[int, ...], Answer] = {}
    return tuple(known.setdefault(variant, Answer(tuple(records[index] for index in variant))) for variant in ring)
