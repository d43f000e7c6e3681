"""Who owns a name: services, members' hosts and static records must not contradict one another."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from dnslb.answer.service import ServiceType
from dnslb.config.claims import Claim, by_view, claims, has_views_unread, probe_of, srv_port
from dnslb.config.positions import KeyPath
from dnslb.config.problem import Problem
from dnslb.config.reading import Draft
from dnslb.config.recipes import effective_port
from dnslb.config.report import Report
from dnslb.config.schema import MemberTable, ServiceTable
from dnslb.config.zones import ServedZone, zone_of
from dnslb.pool.member import Address
from dnslb.wire.name import from_text, parent, to_text
from dnslb.wire.rrtype import AAAA, CNAME, DNAME, MX, NS, RRSIG, SOA, SRV, A
from dnslb.zone.checks import targets_without_address

LONG_TTL = 300
_COLLIDING = {
    ServiceType.ADDRESS: {A: "A", AAAA: "AAAA", CNAME: "CNAME"},
    ServiceType.MX: {MX: "MX", CNAME: "CNAME"},
    ServiceType.SRV: {SRV: "SRV", CNAME: "CNAME"},
}


@dataclass(frozen=True, slots=True)
class _Host:
    """A member under the name that MX or SRV records point at; `path` is the key that gives the name."""

    name: bytes
    path: KeyPath
    member: MemberTable


def check_names(draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note every name that two things claim, and every static target that has no address."""
    for zone in zones.values():
        _warn_of_negatives(zone, report)
        _warn_of_signatures(zone, report)
        _check_reachable(zone, zones, report)
    for index, table in draft.services.items():
        _check_table(table, ("service", index), draft, report)
    named = _named(draft, report)
    _check_duplicates(named, report)
    for claim in named:
        _check_place(claim, zones, report)
    hosts = list(_hosts(draft, named, zones, report))
    address_services = {claim.wire for claim in named if claim.type is ServiceType.ADDRESS}
    _check_hosts(hosts, address_services, zones, report)
    _check_targets(address_services | {host.name for host in hosts}, zones, report)


def _warn_of_negatives(zone: ServedZone, report: Report) -> None:
    """RFC 2308 section 5: a negative answer is kept for the lower of the SOA's TTL and its minimum."""
    if not zone.whole:
        return
    soa = zone.records.nodes[zone.apex][SOA]
    seconds = min(soa.ttl, int.from_bytes(soa.rdata[0][-4:], "big"))
    if seconds > LONG_TTL:
        place = zone.places[zone.apex, SOA]
        report.warn(
            ("zone", zone.written),
            f"the SOA ({place}) lets resolvers keep a negative answer for {seconds} s; use a minimum of 30",
        )


def _warn_of_signatures(zone: ServedZone, report: Report) -> None:
    """Note a zone that was signed before it came here: its signatures would not be where validators look for them."""
    place = next((place for (_, rtype), place in zone.places.items() if rtype == RRSIG), None)
    if place is not None:
        report.warn(
            ("zone", zone.written),
            f"RRSIG records ({place}) sign nothing here: answers go out without them, so the parent must have no DS",
        )


def _check_reachable(zone: ServedZone, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note a zone that no resolver would come to, since a DNAME of the zone above leads it elsewhere."""
    above = zone_of(parent(zone.apex), zones)
    if above and (dname := above.shape.dname_above(zone.apex)):
        place = above.places[dname, DNAME]
        report.error(("zone", zone.written), f"lies below the DNAME of {to_text(dname)} ({place})")


def _check_table(table: ServiceTable, path: KeyPath, draft: Draft, report: Report) -> None:
    _check_keys(table, path, report)
    _check_companions(table, path, draft, report)
    if (longest := table.ttl.max) > LONG_TTL:
        report.warn(
            (*path, "ttl"), f"resolvers keep an answer for {longest} s: so long mail still goes to a member that died"
        )


def _check_keys(table: ServiceTable, path: KeyPath, report: Report) -> None:
    if table.type is not ServiceType.MX and "preference" in table.model_fields_set:
        report.error((*path, "preference"), f"only an MX service has one, this one is {table.type}")
    if table.type is ServiceType.SRV and table.port is None:
        report.error((*path, "port"), "missing, SRV records name a port: expected a port from 1 to 65535")
    if table.type is ServiceType.SRV and table.records is not None:
        report.error((*path, "records"), 'expected "all": SRV records carry the weights themselves (RFC 2782)')
    if table.port is not None and table.type is ServiceType.MX:
        report.error((*path, "port"), f"only an SRV service has one, this one is {table.type}")
    if table.port is not None and table.type is ServiceType.ADDRESS and ServiceType.SRV not in table.companions:
        report.error((*path, "port"), 'only SRV records name one: expected with = ["SRV"] beside it')


def _check_companions(table: ServiceTable, path: KeyPath, draft: Draft, report: Report) -> None:
    if table.companions and table.type is not ServiceType.ADDRESS:
        report.error((*path, "with"), f"only an address service has companions, this one is {table.type}")
        return
    for place, kind in enumerate(table.companions):
        here = (*path, "with", place)
        if kind in table.companions[:place]:
            report.error(here, "listed twice")
        elif kind is ServiceType.SRV and table.port is None:
            _warn_of_port(table, here, draft, report)


def _warn_of_port(table: ServiceTable, path: KeyPath, draft: Draft, report: Report) -> None:
    """Note a port that nobody has written, and that no probe of the pool knocks at."""
    probe, default = probe_of(table, draft), srv_port(table, draft)
    if probe is None:
        return
    probed = {effective_port(member, probe) for member in draft.pools[table.pool].members.values()}
    if others := sorted(probed - {default}):
        asked = ", ".join(map(str, others))
        said = f"the SRV records send clients to port {default}, and the probe visits {asked}"
        report.warn(path, f"{said}: write the one that clients are to use (port = ...)")


def _named(draft: Draft, report: Report) -> list[Claim]:
    """Return the claims whose names are names."""
    named = []
    broken = set()
    for claim in claims(draft):
        owner = claim.path[:2]
        try:
            from_text(claim.name)
            named.append(claim)
        except ValueError as error:
            # A companion of a name that is none has no fault of its own.
            if owner not in broken:
                report.error(claim.path, f"expected a domain name: {error}")
            broken.add(owner)
        if claim.name.startswith("*") and not claim.companion:
            report.error(claim.path, "a service cannot be a wildcard")
    return named


def _check_duplicates(named: list[Claim], report: Report) -> None:
    seen: dict[tuple[bytes, ServiceType, str], KeyPath] = {}
    for claim, view in by_view(each for each in named if not has_views_unread(each.path, each.table, report)):
        first = seen.setdefault((claim.wire, claim.type, view), claim.path)
        # One `with` that says a type twice is told of that already.
        if first is not claim.path and not (claim.companion and first[:2] == claim.path[:2]):
            where = first if first[2] == "with" else first[:2]
            line = report.positions.line(where)
            what = f"the {claim.type} records of {claim.name}" if claim.companion else "this name and type"
            which = f" for view {view}" if view else ""
            report.error(claim.path, f"the service in line {line} has {what} already{which}")


def _check_place(claim: Claim, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    name, zone = claim.wire, zone_of(claim.wire, zones)
    if zone is None:
        if not claim.companion:
            known = ", ".join(to_text(apex) for apex in zones) or "none"
            report.error(claim.path, f"expected a name in one of the zones ({known})")
        return
    if cut := zone.shape.cut_above(name):
        report.error(claim.path, f"{to_text(cut)} is delegated away ({zone.places[cut, NS]})")
    if above := zone.shape.dname_above(name):
        report.error(
            claim.path, f"{claim.subject}lies below the DNAME of {to_text(above)} ({zone.places[above, DNAME]})"
        )
    for rtype, word in _COLLIDING[claim.type].items():
        if rtype in zone.records.nodes.get(name, {}):
            report.error(claim.path, f"{claim.subject}collides with the {word} record in {zone.places[name, rtype]}")


def _hosts(draft: Draft, named: list[Claim], zones: Mapping[bytes, ServedZone], report: Report) -> Iterator[_Host]:
    """Yield the hosts that MX and SRV services point at and that lie in a zone of ours."""
    for claim in named:
        pool, zone = claim.table.pool, zone_of(claim.wire, zones)
        if claim.type is ServiceType.ADDRESS or zone is None or pool not in draft.pools:
            continue
        for place, member in draft.pools[pool].members.items():
            path = ("pool", pool, "member", place, "host" if member.host else "name")
            try:
                name = from_text(member.host or f"{member.name}.{to_text(zone.apex)}")
            except ValueError as error:
                if not member.host:
                    report.error(path, f"its host in {claim.type} records would be no name: {error}")
                continue
            if zone_of(name, zones):
                yield _Host(name, path, member)


def _check_hosts(hosts: list[_Host], services: set[bytes], zones: Mapping[bytes, ServedZone], report: Report) -> None:
    first: dict[bytes, _Host] = {}
    for host in hosts:
        other = first.setdefault(host.name, host)
        if _given_out(other.member) != _given_out(host.member):
            line = report.positions.line(other.path)
            report.error(host.path, f"host {to_text(host.name)} has other addresses in line {line}")
        if host.name in services:
            report.error(host.path, f"host {to_text(host.name)} is also the name of an address service")
        zone = zone_of(host.name, zones)
        if zone:
            _check_host(host, zone, report)


def _given_out(member: MemberTable) -> dict[str, set[Address]]:
    """Return the addresses that clients of each view get, "" being those of no view and of views not named here."""
    return {"": set(member.addresses)} | {view: set(listed) for view, listed in member.view_addresses.items()}


def _check_host(host: _Host, zone: ServedZone, report: Report) -> None:
    text, places = to_text(host.name), zone.places
    if cut := zone.shape.cut_above(host.name):
        report.error(host.path, f"host {text} is in {to_text(cut)}, which is delegated away ({places[cut, NS]})")
    if above := zone.shape.dname_above(host.name):
        report.error(host.path, f"host {text} lies below the DNAME of {to_text(above)} ({places[above, DNAME]})")
    static = zone.records.nodes.get(host.name, {})
    if CNAME in static:
        place = places[host.name, CNAME]
        report.error(host.path, f"host {text} is a CNAME in {place}: an MX target must not be a CNAME (RFC 2181 10.3)")
    written = {rdata for rtype in (A, AAAA) if rtype in static for rdata in static[rtype].rdata}
    if zone.whole and written and written != {address.packed for address in host.member.addresses}:
        place = places[host.name, A if A in static else AAAA]
        report.error(host.path, f"host {text} has other addresses in {place} than this member")


def _check_targets(dynamic: set[bytes], zones: Mapping[bytes, ServedZone], report: Report) -> None:
    for zone in zones.values():
        if not zone.whole:
            continue
        for fault in targets_without_address(zone.shape, zone.places, _elsewhere(zone, dynamic, zones)):
            report.problems.append(Problem(fault.file, fault.line, "", "", fault.message))


def _elsewhere(
    zone: ServedZone, dynamic: Collection[bytes], zones: Mapping[bytes, ServedZone]
) -> Callable[[bytes], bool]:
    """Return the test of a name that gets its addresses from a pool, or from a zone of ours below this one."""
    return lambda name: name in dynamic or zone_of(name, zones) is not zone
