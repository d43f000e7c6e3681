"""What there is to answer: zones and services by name, before pools decide who is in the answers.

Built once for each configuration. All names are in wire format, lower case.
"""

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from types import MappingProxyType

from dnslb.answer.service import Service, ServiceType, Ttl, rivals
from dnslb.answer.terms import Terms
from dnslb.answer.views import Audience
from dnslb.pool.member import Address, Member, Pool
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

    `names` is what clients of the view `view` are answered from, those that are in none ("") as a rule. `overlays` has
    by view the names of which its clients may be told something else. All views have the same names.
    `terms` are those on which all are served.
    """

    zones: Mapping[bytes, Zone]
    pools: Mapping[str, Pool]
    names: Mapping[bytes, Contents]
    cuts: Mapping[bytes, frozenset[bytes]]
    dependents: Mapping[str, frozenset[bytes]]
    ttls: Mapping[str, frozenset[Ttl]]
    audience: Audience = field(default_factory=Audience)
    overlays: Mapping[str, Mapping[bytes, Contents]] = field(default_factory=dict)
    view: str = ""
    terms: Terms = field(default_factory=Terms)

    def seen_from(self, view: str) -> "World":
        """Return what clients of the view are answered from, as a world without other views."""
        # Not a copy: each change of a member asks for this, and there may be names without number.
        names: Mapping[bytes, Contents] = ChainMap(
            self.overlays.get(view, {}),  # type: ignore[arg-type]  # nobody writes to a world
            self.names,  # type: ignore[arg-type]  # as above
        )
        return replace(self, names=names, overlays={}, view=view)


def build(
    zones: Iterable[Zone], pools: Mapping[str, Pool], services: Sequence[Service], audience: Audience | None = None
) -> World:
    """Return the world of a checked configuration."""
    audience = audience or Audience()
    by_apex = {zone.apex: zone for zone in zones}
    cuts = {zone.apex: cuts_of(zone) for zone in by_apex.values()}
    static = _static_names(by_apex, cuts)
    names = _names_in("", static, pools, services, by_apex)
    aliases = _aliases(names)
    seen = {view: _names_in(view, static, pools, services, by_apex) for view in audience.sources}
    overlays = {view: apart for view, there in seen.items() if (apart := _apart(names, there, aliases))}
    dependents = _dependents([names, *overlays.values()], aliases)
    return World(by_apex, MappingProxyType(dict(pools)), names, cuts, dependents, _ttls(services), audience, overlays)


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


def target_of(rtype: int, octets: bytes) -> bytes:
    """Return the name whose addresses a client will ask for next (RFC 1035 section 3.3, RFC 2782), b"" if none."""
    offset = {rrtype.NS: 0, rrtype.MX: 2, rrtype.SRV: 6}.get(rtype)
    return b"" if offset is None else octets[offset:].lower()


def _static_names(zones: Mapping[bytes, Zone], cuts: Mapping[bytes, frozenset[bytes]]) -> dict[bytes, Contents]:
    names: dict[bytes, Contents] = {}
    # Parents first: where a zone and its child are both ours, the child's data stand at the cut, beside the DS.
    for zone in sorted(zones.values(), key=lambda zone: len(zone.apex)):
        # A zone of ours below this one is as good as a cut, even if this one forgets to delegate it.
        left = cuts[zone.apex].union(zones).difference(name.ancestors(zone.apex))
        for owner, contents in _static_contents(zone, left):
            above = names.get(owner)
            rrsets = {**above.rrsets, **contents.rrsets} if above else contents.rrsets
            names[owner] = Contents(zone.apex, rrsets)
    return names


def _static_contents(zone: Zone, left: frozenset[bytes]) -> Iterator[tuple[bytes, Contents]]:
    """Yield what the zone is an authority for: nothing at or below the names left to others, but their DS."""
    for owner, rrsets in zone.nodes.items():
        if not any(suffix in left for suffix in name.ancestors(owner)):
            yield owner, Contents(zone.apex, rrsets)
        elif owner in left and rrtype.DS in rrsets:
            yield owner, Contents(zone.apex, {rrtype.DS: rrsets[rrtype.DS]})


def _names_in(
    view: str,
    static: Mapping[bytes, Contents],
    pools: Mapping[str, Pool],
    services: Sequence[Service],
    zones: Mapping[bytes, Zone],
) -> dict[bytes, Contents]:
    """Return all names as clients of the view have them."""
    names = dict(static)
    for service in _services_in(view, pools, services):
        there = names.get(service.name) or Contents(service.zone, {})
        names[service.name] = Contents(there.zone, there.rrsets, (*there.services, service))
    # The hosts of all views: a resolver may ask for what it was told by another one.
    for service in services:
        if service.type is not ServiceType.ADDRESS:
            for member in pools[service.pool].members:
                _add_host(names, host_of(member, service), member.addresses_in(view), service.ttl.max, zones)
    return names


def _services_in(view: str, pools: Mapping[str, Pool], services: Iterable[Service]) -> Iterator[Service]:
    """Yield one service for each name and type: the view's, or else the one for all others.

    Where there is none for all others, no client is among them: any service then says which types the name has.
    """
    for those in rivals(services):
        chosen = min(those, key=lambda service: (service.view != view, service.view != ""))
        apart = any(known == view for member in pools[chosen.pool].members for known, _ in member.view_addresses)
        yield replace(chosen, view=view) if apart else chosen


def _add_host(
    names: dict[bytes, Contents], host: bytes, addresses: Iterable[Address], ttl: int, zones: Mapping[bytes, Zone]
) -> None:
    """Give the member's host its addresses, whatever its health: caches may still point at it."""
    apex = next((suffix for suffix in name.ancestors(host) if suffix in zones), None)
    if apex is None:
        return
    there = names.get(host) or Contents(apex, {})
    rrsets = {rtype: rrset for rtype, rrset in there.rrsets.items() if rtype not in rrtype.ADDRESSES}
    for rtype, octets in _by_family(addresses).items():
        known = there.rrsets.get(rtype)
        rrsets[rtype] = RRset(host, rtype, min(ttl, known.ttl) if known else ttl, octets)
    names[host] = Contents(there.zone, rrsets, there.services)


def _by_family(addresses: Iterable[Address]) -> dict[int, tuple[bytes, ...]]:
    families: dict[int, tuple[bytes, ...]] = {}
    for address in addresses:
        rtype, octets = rdata.address(address)
        families[rtype] = (*families.get(rtype, ()), octets)
    return families


def _apart(
    names: Mapping[bytes, Contents], seen: Mapping[bytes, Contents], aliases: Mapping[bytes, set[bytes]]
) -> dict[bytes, Contents]:
    """Return the names of a view whose answers may not be those of all others, as the view has them."""
    apart = {owner for owner, contents in seen.items() if contents != names[owner]}
    hosts = {owner for owner in apart if _addresses(seen[owner]) != _addresses(names[owner])}
    if hosts:
        # Their addresses go along with the records that point at them.
        apart |= {owner for owner, contents in seen.items() if not hosts.isdisjoint(_targets(contents))}
    for owner in tuple(apart):
        apart |= aliases.get(owner, set())
    return {owner: seen[owner] for owner in apart}


def _addresses(contents: Contents) -> list[RRset | None]:
    return [contents.rrsets.get(rtype) for rtype in rrtype.ADDRESSES]


def _targets(contents: Contents) -> Iterator[bytes]:
    for rrset in contents.rrsets.values():
        for octets in rrset.rdata:
            yield target_of(rrset.rtype, octets)


def _ttls(services: Iterable[Service]) -> dict[str, frozenset[Ttl]]:
    ttls: defaultdict[str, set[Ttl]] = defaultdict(set)
    for service in services:
        ttls[service.pool].add(service.ttl)
    return {pool: frozenset(found) for pool, found in ttls.items()}


def _dependents(
    views: Iterable[Mapping[bytes, Contents]], aliases: Mapping[bytes, set[bytes]]
) -> dict[str, frozenset[bytes]]:
    dependents: defaultdict[str, set[bytes]] = defaultdict(set)
    for owner, contents in chain.from_iterable(names.items() for names in views):
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
