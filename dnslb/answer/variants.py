"""Which published members a service lists, in which order and with which numbers, variant by variant."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from dnslb.answer.service import Preference, Service, ServiceType
from dnslb.pool.member import Member
from dnslb.pool.rotation import rank_ring, sample_ring, shares
from dnslb.pool.selection import Choice, Selection, best_tier, by_tier
from dnslb.wire import rdata

_STEP = 10
"""Preferences are 10, 20, 30: room for a static record of the parent zone's administrator in between."""
_MAX_PREFERENCE = 65535


class Listed(NamedTuple):
    """One MX or SRV record: `preference` is the MX preference or the SRV priority, `weight` the SRV weight."""

    member: Member
    preference: int
    weight: int = 0


def address_ring(service: Service, selection: Selection, rtype: int) -> list[tuple[bytes, ...]]:
    """Return the ring of address record data of one family: k members of the best tier that have such addresses."""
    choices = []
    for choice in best_tier(selection.published):
        found = [octets for family, octets in map(rdata.address, choice.member.addresses) if family == rtype]
        if found:
            choices.append((choice.weight, found))
    if not choices:
        return []
    ring = sample_ring([weight for weight, _ in choices], service.records or len(choices))
    return [tuple(octets for index in variant for octets in choices[index][1]) for variant in ring]


def mx_ring(service: Service, selection: Selection) -> list[tuple[Listed, ...]]:
    """Return the ring of MX lists: every tier, worse ones behind better ones, at most `records` members."""
    tiers = by_tier(selection.published)
    if not tiers:
        return []
    if service.preference is Preference.RANKED:
        return _ranked(tiers, service.records)
    return _equal(tiers, service.records)


def _ranked(tiers: Sequence[Sequence[Choice]], records: int | None) -> list[tuple[Listed, ...]]:
    rings = [rank_ring([choice.weight for choice in tier]) for tier in tiers]
    # Every member at every place it can take, made once: a ring names each many times.
    placed: list[list[tuple[Listed, ...]]] = []
    first = 1
    for tier in tiers:
        places = range(first, first + len(tier))
        placed.append([tuple(_at(choice, _STEP * place) for place in places) for choice in tier])
        first += len(tier)
    variants = []
    # As long as the best tier's ring, whose members get the mail: only whole turns of it are exact.
    for turn in range(len(rings[0])):
        ranking: list[Listed] = []
        for members, ring in zip(placed, rings, strict=True):
            ranking += [members[index][place] for place, index in enumerate(ring[turn % len(ring)])]
        variants.append(tuple(ranking[:records]))
    return variants


def _equal(tiers: Sequence[Sequence[Choice]], records: int | None) -> list[tuple[Listed, ...]]:
    rings = []
    left = records if records is not None else sum(len(tier) for tier in tiers)
    for tier in tiers:
        taken = min(left, len(tier))
        if taken:
            rings.append((tier, sample_ring([choice.weight for choice in tier], taken)))
        left -= taken
    return [
        tuple(_at(tier[index], _STEP * tier[index].tier) for tier, ring in rings for index in ring[turn % len(ring)])
        for turn in range(len(rings[0][1]))
    ]


def _at(choice: Choice, preference: int) -> Listed:
    return Listed(choice.member, min(preference, _MAX_PREFERENCE))


def srv_listing(selection: Selection) -> list[tuple[Listed, ...]]:
    """Return the one SRV list: priority is the tier and weight the weight (RFC 2782)."""
    if not selection.published:
        return []
    return [tuple(Listed(choice.member, choice.tier, choice.weight) for choice in selection.published)]


def service_shares(service: Service, selection: Selection) -> dict[str, Fraction]:
    """Return the fraction of new connections that the service's answers send to each published member."""
    choices = best_tier(selection.published)
    if not choices:
        return {}
    weights = [choice.weight for choice in choices]
    sampled = service.type is ServiceType.ADDRESS or (
        service.type is ServiceType.MX and service.preference is Preference.EQUAL
    )
    listed = (service.records or len(choices)) if sampled else 1
    return {choice.member.name: share for choice, share in zip(choices, shares(weights, listed), strict=True)}
