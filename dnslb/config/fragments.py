"""SPF services: records of a zone that follow from a pool's members, and never from their health."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.report import Report
from dnslb.config.schema import SpfTable
from dnslb.config.spf import MAX_LOOKUPS, SpfRecord, spf_records
from dnslb.config.zones import ServedZone, zone_of
from dnslb.wire import rdata
from dnslb.wire.name import from_text, to_text
from dnslb.wire.rrtype import CNAME, DNAME, NS, TXT
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone

_COLLIDING = {TXT: "TXT", CNAME: "CNAME"}


def check_fragments(draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note SPF services that cannot be published, or that no receiver would follow to their end."""
    owners: dict[bytes, int] = {}
    for index, table in draft.fragments.items():
        path = ("service", index, "name")
        try:
            records = _records(table, draft)
            names = [from_text(record.name) for record in records]
        except ValueError as error:
            report.error(path, f"expected a shorter name: {error}")
            continue
        _check_lookups(records, path, report)
        for name in names:
            _check_place(name, path, zones, report)
            first = owners.setdefault(name, index)
            if first != index:
                line = report.positions.line(("service", first))
                report.error(path, f"the SPF service in line {line} has a record at {to_text(name)} already")


def zones_with_fragments(draft: Draft, zones: Mapping[bytes, ServedZone]) -> tuple[Zone, ...]:
    """Return the zones with the records of SPF services beside those of their files."""
    added: dict[bytes, dict[bytes, Mapping[int, RRset]]] = {apex: {} for apex in zones}
    for rrset in _rrsets(draft):
        zone = zone_of(rrset.owner, zones)
        if zone is None:
            raise ValueError(f"SPF service {to_text(rrset.owner)} is in no zone")
        added[zone.apex][rrset.owner] = {**zone.records.nodes.get(rrset.owner, {}), TXT: rrset}
    return tuple(
        replace(zone.records, nodes={**zone.records.nodes, **added[apex]}) if added[apex] else zone.records
        for apex, zone in zones.items()
    )


def _rrsets(draft: Draft) -> Iterator[RRset]:
    for table in draft.fragments.values():
        for record in _records(table, draft):
            yield RRset(from_text(record.name), TXT, table.ttl, (rdata.txt(record.text),))


def _records(table: SpfTable, draft: Draft) -> list[SpfRecord]:
    """All members, whatever their weight: one that is out today has sent mail yesterday, and is back tomorrow."""
    pool = draft.pools.get(table.pool)
    members = pool.members.values() if pool else ()
    addresses = (address for member in members for address in member.addresses)
    return spf_records(to_text(from_text(table.name)), addresses, table.rest)


def _check_lookups(records: list[SpfRecord], path: KeyPath, report: Report) -> None:
    addresses = sum(record.text.count(" ip") for record in records)
    lookups = len(records) - 1
    if lookups > MAX_LOOKUPS:
        report.error(
            path,
            f"its {addresses} addresses would take {lookups} lookups, expected at most {MAX_LOOKUPS} "
            "(RFC 7208 4.6.4): use a shorter name, or write networks into a TXT record of the zone file",
        )
    elif lookups == MAX_LOOKUPS:
        report.warn(
            path,
            f"its {addresses} addresses take {lookups} lookups, all that a receiver makes (RFC 7208 4.6.4): no other "
            "SPF record can include this name",
        )


def _check_place(name: bytes, path: KeyPath, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    zone = zone_of(name, zones)
    if zone is None:
        known = ", ".join(to_text(apex) for apex in zones) or "none"
        report.error(path, f"expected a name in one of the zones ({known})")
        return
    if cut := zone.shape.cut_above(name):
        report.error(path, f"{to_text(cut)} is delegated away ({zone.places[cut, NS]})")
    if above := zone.shape.dname_above(name):
        report.error(path, f"it lies below the DNAME of {to_text(above)} ({zone.places[above, DNAME]})")
    for rtype, word in _COLLIDING.items():
        if rtype in zone.records.nodes.get(name, {}):
            place = zone.places[name, rtype]
            report.error(path, f"the SPF record of {to_text(name)} collides with the {word} record in {place}")
