"""What there is to answer: zones and services by name, before pools decide who is in the answers.

Built once for each configuration. All names are in wire format, lower case.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.pool.member import Member, Pool
from dnslb.wire import name, rdata, rrtype
from dnslb.zone.rrset import RRset
from dnslb.zone.shape import cuts_of
from dnslb.zone.zone import Zone

_LONGEST_CHAIN = 8
_wire = lru_cache(maxsize=1 << 16)(name.from_text)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that one name owns: its RRsets (the addresses of member hosts among them) and its services."""

    zone: bytes
    rrsets: Mapping[int, RRset]
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """Zones, pools and services with the indexes that the compiler needs.

    `names` holds authoritative names only: what lies at or below a cut is in the zones alone, but for a DS RRset.
    `dependents` says which names change with a pool: those of its services, the apexes of their zones, whose serials
    rise, and the aliases that lead to either. `ttls` are those that the services of a pool have.
    """

    zones: Mapping[bytes, Zone]
    pools: Mapping[str, Pool]
    names: Mapping[bytes, Contents]
    cuts: Mapping[bytes, frozenset[bytes]]
    dependents: Mapping[str, frozenset[bytes]]
    ttls: Mapping[str, frozenset[Ttl]]


def build(zones: Iterable[Zone], pools: Mapping[str, Pool], services: Iterable[Service]) -> World:
    """Return the world of a checked configuration."""
    by_apex = {zone.apex: zone for zone in zones}
    cuts = {zone.apex: cuts_of(zone) for zone in by_apex.values()}
    names: dict[bytes, Contents] = {}
    # Parents first: where a zone and its child are both ours, the child's data stand at the cut, beside the DS.
    for zone in sorted(by_apex.values(), key=lambda zone: len(zone.apex)):
        # A zone of ours below this one is as good as a cut, even if this one forgets to delegate it.
        left = cuts[zone.apex].union(by_apex).difference(name.ancestors(zone.apex))
        for owner, contents in _static_contents(zone, left):
            above = names.get(owner)
            rrsets = {**above.rrsets, **contents.rrsets} if above else contents.rrsets
            names[owner] = Contents(zone.apex, rrsets)
    ttls: defaultdict[str, set[Ttl]] = defaultdict(set)
    for service in services:
        _add_service(names, service, pools[service.pool], by_apex)
        ttls[service.pool].add(service.ttl)
    by_pool = {pool: frozenset(found) for pool, found in ttls.items()}
    return World(by_apex, MappingProxyType(dict(pools)), names, cuts, _dependents(names), by_pool)


def host_of(member: Member, service: Service) -> bytes:
    """Return the name that MX and SRV records of the service point at for this member."""
    return _wire(member.host) if member.host else _wire(member.name)[:-1] + service.zone


def chain_from(owner: bytes, names: Mapping[bytes, Contents]) -> Iterator[RRset]:
    """Yield the CNAME RRsets that lead from the owner on, within its zone (RFC 1034 section 3.6.2)."""
    seen: set[bytes] = set()
    contents = names.get(owner)
    while contents is not None and len(seen) < _LONGEST_CHAIN:
        alias = contents.rrsets.get(rrtype.CNAME)
        if alias is None or alias.owner in seen:
            return
        yield alias
        seen.add(alias.owner)
        following = names.get(alias.rdata[0].lower())
        contents = following if following is not None and following.zone == contents.zone else None


def _static_contents(zone: Zone, left: frozenset[bytes]) -> Iterator[tuple[bytes, Contents]]:
    """Yield what the zone is an authority for: nothing at or below the names left to others, but their DS."""
    for owner, rrsets in zone.nodes.items():
        if not any(suffix in left for suffix in name.ancestors(owner)):
            yield owner, Contents(zone.apex, rrsets)
        elif owner in left and rrtype.DS in rrsets:
            yield owner, Contents(zone.apex, {rrtype.DS: rrsets[rrtype.DS]})


def _add_service(names: dict[bytes, Contents], service: Service, pool: Pool, zones: Mapping[bytes, Zone]) -> None:
    there = names.get(service.name) or Contents(service.zone, {})
    names[service.name] = Contents(there.zone, there.rrsets, (*there.services, service))
    if service.type is not ServiceType.ADDRESS:
        for member in pool.members:
            _add_host(names, host_of(member, service), member, service.ttl.max, zones)


def _add_host(names: dict[bytes, Contents], host: bytes, member: Member, ttl: int, zones: Mapping[bytes, Zone]) -> None:
    """Give the member's host its addresses, whatever its health: caches may still point at it."""
    apex = next((suffix for suffix in name.ancestors(host) if suffix in zones), None)
    if apex is None:
        return
    there = names.get(host) or Contents(apex, {})
    rrsets = dict(there.rrsets)
    for rtype, octets in _by_family(member).items():
        known = rrsets.get(rtype)
        rrsets[rtype] = RRset(host, rtype, min(ttl, known.ttl) if known else ttl, octets)
    names[host] = Contents(there.zone, rrsets, there.services)


def _by_family(member: Member) -> dict[int, tuple[bytes, ...]]:
    families: dict[int, tuple[bytes, ...]] = {}
    for address in member.addresses:
        rtype, octets = rdata.address(address)
        families[rtype] = (*families.get(rtype, ()), octets)
    return families


def _dependents(names: Mapping[bytes, Contents]) -> dict[str, frozenset[bytes]]:
    aliases = _aliases(names)
    dependents: defaultdict[str, set[bytes]] = defaultdict(set)
    for owner, contents in names.items():
        for service in contents.services:
            # The apex shows the serial, which rises with each change.
            for there in (owner, contents.zone):
                dependents[service.pool] |= {there, *aliases.get(there, ())}
    return {pool: frozenset(owners) for pool, owners in dependents.items()}


def _aliases(names: Mapping[bytes, Contents]) -> dict[bytes, set[bytes]]:
    """Return each name that aliases of its zone lead to -> these aliases: they are answered with its data."""
    aliases: dict[bytes, set[bytes]] = {}
    for owner, contents in names.items():
        for link in chain_from(owner, names):
            target = names.get(link.rdata[0].lower())
            if target is not None and target.zone == contents.zone:
                aliases.setdefault(link.rdata[0].lower(), set()).add(owner)
    return aliases
