"""Zones and published members become ready octets: all the work of an answer that does not need the query.

`compile_world` makes the whole snapshot, `compile_names` only what depends on some pools. Both compile a name with
the same function, so a change can never say anything else than a fresh start would.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dnslb.answer.frame import Frame
from dnslb.answer.notices import notice_of
from dnslb.answer.service import Service, ServiceType
from dnslb.answer.snapshot import Alias, Answers, CompiledZone, Redirect, Referral, Rotation, Snapshot, Template
from dnslb.answer.variants import address_ring, mx_ring, srv_listing
from dnslb.answer.views import views_of
from dnslb.answer.world import Contents, World, chain_from, host_of, target_of
from dnslb.pool.selection import Selection
from dnslb.wire import name, rdata, rrtype
from dnslb.wire.header import Rcode
from dnslb.wire.record import record
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone

_SERIAL_END = -16
_PREFERENCE = 12
"""Where the preference begins in an MX record whose owner is a pointer."""


class Pools(NamedTuple):
    """What changes while the configuration stays: who is published in each pool, and each zone's SOA serial."""

    selections: Mapping[str, Selection]
    serials: Mapping[bytes, int]


def compile_world(world: World, pools: Pools, generation: int) -> Snapshot:
    """Return the snapshot of everything."""
    return Snapshot(
        generation=generation,
        zones={apex: compile_zone(world, zone, pools.serials[apex]) for apex, zone in world.zones.items()},
        names=compile_names(world, world.names, pools),
        views=views_of(world.audience.sources),
        believed=views_of({"believed": resolvers}) if (resolvers := world.audience.ecs_resolvers) else None,
        terms=world.terms,
    )


def compile_names(world: World, owners: Iterable[bytes], pools: Pools) -> dict[bytes, Answers]:
    """Return all that the given names answer with data, to the clients of each view."""
    compiled = {owner: _compile_name(world, owner, pools) for owner in owners}
    for view, apart in world.overlays.items():
        if there := apart.keys() & compiled.keys():
            seen = world.seen_from(view)
            compiled |= {owner: _parted(compiled[owner], view, _compile_name(seen, owner, pools)) for owner in there}
    return compiled


def compile_soa(zone: Zone, serial: int) -> Template:
    """Return the SOA record of negative answers; its TTL is the lesser of its own and MINIMUM (RFC 2308 section 3)."""
    soa = _with_serial(zone.nodes[zone.apex][rrtype.SOA], serial)
    ttl = min(soa.ttl, int.from_bytes(soa.rdata[0][-4:], "big"))
    return b"", record(b"", rrtype.SOA, ttl, soa.rdata[0])


def _with_serial(soa: RRset, serial: int) -> RRset:
    octets = soa.rdata[0]
    renewed = octets[: _SERIAL_END - 4] + serial.to_bytes(4, "big") + octets[_SERIAL_END:]
    return RRset(soa.owner, soa.rtype, soa.ttl, (renewed,))


# One name


def _compile_name(world: World, owner: bytes, pools: Pools) -> Answers:
    contents = world.names[owner]
    frame = Frame.of(owner, world.view)
    chain = tuple(chain_from(owner, world.names))
    if not chain:
        return dict(_compile_contents(world, frame, contents, pools))
    target = world.names.get(chain[-1].rdata[0].lower())
    answers: dict[bytes, Rotation] = {}
    if target is not None and target.zone == contents.zone and not frame.any_length:
        answers |= _compile_contents(world, frame.behind(chain), target, pools)
    # The alias itself, and a DS or the like that may stand beside it, come last: they win over the target's.
    answers |= _compile_contents(world, frame, contents, pools)
    return answers


def _parted(answers: Answers, view: str, others: Answers) -> Answers:
    """Return the answers of a name with those that clients of the view get instead, where these are different."""
    parted = dict(answers)
    for tail in answers.keys() | others.keys():
        here = answers.get(tail) or _MISSING
        there = others.get(tail) or _MISSING
        if _said(here) != _said(there):
            parted[tail] = here._replace(views={**(here.views or {}), view: there})
    return parted


_MISSING = Rotation(b"", 0, (), b"", missing=True)


def _said(rotation: Rotation) -> tuple[object, ...]:
    """Return what clients can learn of a rotation: the turns in it are nobody's matter."""
    return rotation.missing, rotation.ring, rotation.additional, rotation.by_source, rotation.notice


def _compile_contents(world: World, frame: Frame, contents: Contents, pools: Pools) -> Iterator[tuple[bytes, Rotation]]:
    for rrset in contents.rrsets.values():
        current = rrset
        if rrset.rtype == rrtype.SOA:
            current = _with_serial(rrset, pools.serials[rrset.owner])
        yield _static(world, frame, current)
    for service in contents.services:
        yield from _compile_service(world, frame, service, pools.selections[service.pool])


def _static(world: World, frame: Frame, rrset: RRset) -> tuple[bytes, Rotation]:
    records = [frame.own(rrset.rtype, rrset.ttl, octets) for octets in rrset.rdata]
    hosts = [target for octets in rrset.rdata if (target := target_of(rrset.rtype, octets))]
    return frame.rotation(rrset.rtype, records, [tuple(range(len(records)))], _addresses(world, frame, hosts))


def _addresses(world: World, frame: Frame, hosts: Iterable[bytes]) -> list[bytes]:
    """Return the additional records: addresses that do not depend on any pool."""
    return [
        frame.foreign(host, rrset, octets)
        for host in dict.fromkeys(hosts)
        if (there := world.names.get(host)) is not None
        for rtype in rrtype.ADDRESSES
        if (rrset := there.rrsets.get(rtype)) is not None
        for octets in rrset.rdata
    ]


# One service


def _compile_service(
    world: World, frame: Frame, service: Service, selection: Selection
) -> Iterator[tuple[bytes, Rotation]]:
    notice = notice_of(selection)
    for tail, rotation in _compile_rings(world, frame, service, selection):
        yield tail, rotation._replace(key=frame.key(tail), notice=notice)


def _compile_rings(
    world: World, frame: Frame, service: Service, selection: Selection
) -> Iterator[tuple[bytes, Rotation]]:
    if service.type is ServiceType.ADDRESS:
        yield from _compile_addresses(frame, service, selection)
    elif service.type is ServiceType.MX:
        yield _compile_mx(world, frame, service, selection)
    else:
        yield _compile_srv(world, frame, service, selection)


def _compile_addresses(frame: Frame, service: Service, selection: Selection) -> Iterator[tuple[bytes, Rotation]]:
    """Yield A and AAAA; a family that no published member has is NODATA, and both fail together."""
    ttl = service.ttl_now(selection)
    for rtype in rrtype.ADDRESSES:
        addresses, ring = address_ring(service, selection, rtype)
        if ring or not selection.published:
            records = [frame.own(rtype, ttl, octets) for octets in addresses]
            yield frame.rotation(rtype, records, ring, [], by_source=selection.by_source)


def _compile_mx(world: World, frame: Frame, service: Service, selection: Selection) -> tuple[bytes, Rotation]:
    listing = mx_ring(service, selection)
    hosts = {member.name: host_of(member, service) for member, _, _ in listing.records}
    ttl = service.ttl_now(selection)
    # A member is listed at many places: only the preference is different.
    first = {name: frame.own(rrtype.MX, ttl, rdata.mx(0, host)) for name, host in hosts.items()}
    records = [_preferring(first[member.name], preference) for member, preference, _ in listing.records]
    additional = _addresses(world, frame, hosts.values())
    return frame.rotation(rrtype.MX, records, listing.ring, additional, by_source=selection.by_source)


def _preferring(record: bytes, preference: int) -> bytes:
    """Return an MX record, whose owner is a pointer, with another preference."""
    return record[:_PREFERENCE] + preference.to_bytes(2, "big") + record[_PREFERENCE + 2 :]


def _compile_srv(world: World, frame: Frame, service: Service, selection: Selection) -> tuple[bytes, Rotation]:
    listing = srv_listing(selection)
    ttl = service.ttl_now(selection)
    hosts = [host_of(member, service) for member, _, _ in listing.records]
    records = [
        frame.own(rrtype.SRV, ttl, rdata.srv(priority, weight, service.port, host))
        for (_, priority, weight), host in zip(listing.records, hosts, strict=True)
    ]
    return frame.rotation(rrtype.SRV, records, listing.ring, _addresses(world, frame, hosts))


# One zone


def compile_zone(world: World, zone: Zone, serial: int) -> CompiledZone:
    """Return what the names of a zone share."""
    cuts = world.cuts[zone.apex]
    owned = {owner for owner, contents in world.names.items() if contents.zone == zone.apex}
    # A cut is there to be asked for its DS, and has none unless it is owned.
    empty = (_empty_non_terminals(zone.apex, owned | cuts) | cuts) - owned
    redirects = {owner: _redirect(dname) for owner in owned if (dname := world.names[owner].rrsets.get(rrtype.DNAME))}
    return CompiledZone(
        apex=zone.apex,
        soa=compile_soa(zone, serial),
        cuts={cut: _compile_referral(zone, cut) for cut in cuts},
        empty=empty,
        aliases=dict(_compile_aliases(world, owned, empty)),
        redirects=redirects,
        plain=not cuts and not redirects and not any(there.startswith(name.WILDCARD) for there in owned | empty),
    )


def _empty_non_terminals(apex: bytes, owners: Iterable[bytes]) -> frozenset[bytes]:
    """Return the names between the apex and the owners: they exist, with no data (RFC 4592 section 2.2.2)."""
    found: set[bytes] = set()
    for owner in owners:
        for above in name.ancestors(owner):
            if above == apex or above in found:
                break
            if above != owner:
                found.add(above)
    return frozenset(found)


def _compile_referral(zone: Zone, cut: bytes) -> Referral:
    ns = zone.nodes[cut][rrtype.NS]
    glue = [
        rrset
        for target in dict.fromkeys(octets.lower() for octets in ns.rdata)
        for rtype in rrtype.ADDRESSES
        if (rrset := zone.nodes.get(target, {}).get(rtype)) is not None
    ]
    return Referral(
        name_servers=len(ns.rdata),
        authority=_template([ns], cut),
        glue_records=sum(len(rrset.rdata) for rrset in glue),
        glue=_template(glue, cut),
    )


def _template(rrsets: Iterable[RRset], cut: bytes) -> Template:
    """Return the records with a hole wherever an owner ends in the cut's name."""
    parts = [b""]
    for rrset in rrsets:
        for octets in rrset.rdata:
            fixed = record(b"", rrset.rtype, rrset.ttl, octets)
            if name.is_within(rrset.owner, cut):
                parts[-1] += rrset.owner[: len(rrset.owner) - len(cut)]
                parts.append(fixed)
            else:
                parts[-1] += rrset.owner + fixed
    return tuple(parts)


def _redirect(dname: RRset) -> Redirect:
    target = dname.rdata[0]
    return Redirect(target, dname.ttl, record(b"", rrtype.DNAME, dname.ttl, target))


def _compile_aliases(world: World, owned: Iterable[bytes], empty: frozenset[bytes]) -> Iterator[tuple[bytes, Alias]]:
    for owner in owned:
        chain = tuple(chain_from(owner, world.names))
        if chain:
            yield owner, _alias(world, Frame.of(owner), chain, empty)


def _alias(world: World, frame: Frame, chain: tuple[RRset, ...], empty: frozenset[bytes]) -> Alias:
    # Nothing is compiled behind an alias that is a wildcard.
    links = chain[:1] if frame.any_length else chain
    variant = frame.behind(links).variant([], 0)
    target = links[-1].rdata[0].lower()
    apex = world.names[chain[0].owner].zone
    # A chain that leaves the zone, or goes round, ends with an alias: the type may be behind that.
    if _zone_above(world, target) != apex or target in {link.owner for link in links}:
        return Alias(variant, Rcode.NOERROR, with_soa=False)
    if frame.any_length or _is_found_by_asking(world, target, apex, empty):
        return Alias(variant, Rcode.NOERROR, with_soa=False, onward=target)
    exists = target in world.names or target in empty
    return Alias(variant, Rcode.NOERROR if exists else Rcode.NXDOMAIN, with_soa=True)


def _zone_above(world: World, target: bytes) -> bytes | None:
    """Return the apex of the zone that knows of the name, None if no zone of ours does."""
    return next((suffix for suffix in name.ancestors(target) if suffix in world.zones), None)


def _is_found_by_asking(world: World, target: bytes, apex: bytes, empty: frozenset[bytes]) -> bool:
    """Return whether a delegation, a wildcard or a DNAME may answer for the end of a chain, or it is an alias again."""
    if any(suffix in world.cuts[apex] for suffix in name.ancestors(target)):
        return True
    there = world.names.get(target)
    if there is not None or target in empty:
        return there is not None and rrtype.CNAME in there.rrsets
    return any(
        name.WILDCARD + above in world.names
        or name.WILDCARD + above in empty
        or (above in world.names and rrtype.DNAME in world.names[above].rrsets)
        for above in name.ancestors(name.parent(target))
    )
