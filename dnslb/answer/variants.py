"""Which published members a service lists, in which order and with which numbers, variant by variant."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.pool.member import Member, Policy
from dnslb.pool.rendezvous import source_ring, source_shares
from dnslb.pool.rotation import rank_ring, sample_ring, shares
from dnslb.pool.selection import Choice, Selection, best_tier, by_tier
from dnslb.wire import rdata

_STEP = 10
"""Preferences are 10, 20, 30: room for a static record of the parent zone's administrator in between."""
_MAX_PREFERENCE = 65535
_MAX_WEIGHT = 65535


class Listed(NamedTuple):
    """One MX or SRV record: `preference` is the MX preference or the SRV priority, `weight` the SRV weight."""

    member: Member
    preference: int
    weight: int = 0


_Orders = tuple[tuple[int, ...], ...]
"""In which order members come, tier by tier."""


class Led(NamedTuple):
    """Whom a client always gets: of `first` it takes any, `then` it goes on to the others, best first."""

    first: tuple[str, ...]
    then: tuple[str, ...] = ()


NOBODY = Led(())


class Listing(NamedTuple):
    """Every record that some variant holds, and the ring: each variant as indexes into the records."""

    records: list[Listed]
    ring: list[tuple[int, ...]]


def address_ring(service: Service, selection: Selection, rtype: int) -> tuple[list[bytes], list[tuple[int, ...]]]:
    """Return the address record data of one family, and the ring as indexes into it.

    A variant holds k members of the best tier that have such addresses, with all that each has.
    """
    octets: list[bytes] = []
    choices: list[Choice] = []
    owned: list[range] = []
    for choice in best_tier(selection.published):
        found = [
            each for family, each in map(rdata.address, choice.member.addresses_in(service.view)) if family == rtype
        ]
        if found:
            choices.append(choice)
            owned.append(range(len(octets), len(octets) + len(found)))
            octets += found
    if not choices:
        return [], []
    ring = _samples(selection.policy, choices, service.records or len(choices))
    # Once for each of them that is different: a ring may hold a few of them a thousand times.
    places = {variant: tuple(place for index in variant for place in owned[index]) for variant in set(ring)}
    return octets, [places[variant] for variant in ring]


def _samples(policy: Policy, choices: Sequence[Choice], k: int) -> tuple[tuple[int, ...], ...]:
    weights = [choice.weight for choice in choices]
    if policy is Policy.SOURCE_HASH:
        return source_ring(_names(choices), weights, k, _groups(choices))
    return sample_ring(weights, k, groups=_groups(choices))


def _rankings(policy: Policy, choices: Sequence[Choice]) -> tuple[tuple[int, ...], ...]:
    if policy is Policy.SOURCE_HASH:
        return _samples(policy, choices, len(choices))
    return rank_ring([choice.weight for choice in choices], groups=_groups(choices))


def mx_ring(service: Service, selection: Selection) -> Listing:
    """Return the ring of MX lists: every tier, worse ones behind better ones, at most `records` members."""
    tiers = by_tier(selection.published)
    if not tiers:
        return Listing([], [])
    if service.preference is Preference.RANKED:
        return _ranked(selection.policy, tiers, service.records)
    return _equal(selection.policy, tiers, service.records)


def _ranked(policy: Policy, tiers: Sequence[Sequence[Choice]], records: int | None) -> Listing:
    rings = [_rankings(policy, tier) for tier in tiers]
    # Every member at every place that it can take.
    listed: list[Listed] = []
    begins = []
    first = 1
    for tier in tiers:
        begins.append(len(listed))
        listed += [_at(choice, _STEP * place) for choice in tier for place in range(first, first + len(tier))]
        first += len(tier)

    def ranking(orders: _Orders) -> tuple[int, ...]:
        tiers = zip(begins, orders, strict=True)
        places = [begin + index * len(order) + place for begin, order in tiers for place, index in enumerate(order)]
        return tuple(places[:records])

    return Listing(listed, _joined(rings, ranking))


def _equal(policy: Policy, tiers: Sequence[Sequence[Choice]], records: int | None) -> Listing:
    left = records if records is not None else sum(len(tier) for tier in tiers)
    listed: list[Listed] = []
    begins, rings = [], []
    for tier in tiers:
        taken = min(left, len(tier))
        if taken:
            begins.append(len(listed))
            rings.append(_samples(policy, tier, taken))
            listed += [_at(choice, _STEP * choice.tier) for choice in tier]
        left -= taken

    def listing(orders: _Orders) -> tuple[int, ...]:
        return tuple([begin + index for begin, order in zip(begins, orders, strict=True) for index in order])

    return Listing(listed, _joined(rings, listing))


def _joined(
    rings: Sequence[Sequence[tuple[int, ...]]], join: Callable[[_Orders], tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return one ring of the tiers' rings: at each turn, theirs joined.

    It is as long as the best tier's ring, whose members get the mail: only whole turns of it are exact.
    """
    turns = [tuple([ring[turn % len(ring)] for ring in rings]) for turn in range(len(rings[0]))]
    # Once for each of them that is different: a ring may hold a few of them a thousand times.
    known = {orders: join(orders) for orders in set(turns)}
    return [known[orders] for orders in turns]


def _at(choice: Choice, preference: int) -> Listed:
    return Listed(choice.member, min(preference, _MAX_PREFERENCE))


def srv_listing(selection: Selection) -> Listing:
    """Return the one SRV list: priority is the tier and weight the weight (RFC 2782).

    Weights that do not fit into 16 bits are scaled down together; nobody's becomes 0, which would mean hardly ever.
    """
    largest = max([_MAX_WEIGHT, *(choice.weight for choice in selection.published)])
    listed = [
        Listed(choice.member, choice.tier, max(1, choice.weight * _MAX_WEIGHT // largest))
        for choice in selection.published
    ]
    return Listing(listed, [tuple(range(len(listed)))] if listed else [])


def led_to(service: Service, selection: Selection, bucket: int) -> Led:
    """Return the members that the clients of a bucket always get, nobody if the service does not go by source."""
    if not (selection.by_source and selection.published) or service.type is ServiceType.SRV:
        return NOBODY
    if service.type is ServiceType.ADDRESS:
        choices = best_tier(selection.published)
        ring = _samples(selection.policy, choices, service.records or len(choices))
        return Led(tuple(choices[index].member.name for index in ring[bucket]))
    listing = mx_ring(service, selection)
    listed = [listing.records[index] for index in listing.ring[bucket]]
    first = [record.member.name for record in listed if record.preference == listed[0].preference]
    return Led(tuple(first), tuple(record.member.name for record in listed[len(first) :]))


def service_shares(service: Service, selection: Selection) -> dict[str, Fraction]:
    """Return the fraction of new connections that the service's answers send to each published member."""
    choices = best_tier(selection.published)
    if not choices:
        return {}
    if service.type is not ServiceType.SRV:
        return tier_shares(selection, _chosen_from(service, len(choices)))
    weights = [record.weight for record in srv_listing(selection).records if record.preference == choices[0].tier]
    return dict(zip(_names(choices), shares(weights, 1), strict=True))


def first_choices(service: Service, selection: Selection) -> tuple[tuple[int, ...], ...]:
    """Return for each variant of the ring the members of the best tier, by their places there, that are tried first.

    A client takes any of them alike. There are no variants where every client always has the same before it.
    """
    choices = best_tier(selection.published)
    listed = _chosen_from(service, len(choices))
    if service.type is ServiceType.SRV or listed >= len(choices):
        return ()
    # Those that are first in a ranking are those of a ring with one record.
    return _samples(selection.policy, choices, listed)


def _chosen_from(service: Service, members: int) -> int:
    """Return how many members of the best tier a client finds alike: all that an answer holds, or the first."""
    ranked = service.type is ServiceType.MX and service.preference is Preference.RANKED
    return 1 if ranked else service.records or members


def tier_shares(selection: Selection, listed: int) -> dict[str, Fraction]:
    """Return the fraction of new connections that go to each member of the best tier if answers hold so many of them.

    With `source-hash` it is the fraction of networks that are led there: of connections only if all networks send as
    much.
    """
    choices = best_tier(selection.published)
    if not choices:
        return {}
    names, weights = _names(choices), [choice.weight for choice in choices]
    by_source = selection.by_source
    found = source_shares(names, weights, listed, _groups(choices)) if by_source else shares(weights, listed)
    return dict(zip(names, found, strict=True))


def _names(choices: Sequence[Choice]) -> list[str]:
    return [choice.member.name for choice in choices]


def _groups(choices: Sequence[Choice]) -> list[str]:
    return [choice.member.group for choice in choices]
