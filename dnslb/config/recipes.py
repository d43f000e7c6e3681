"""The recipes of probes, and the names and TLSA records under which members show their certificates."""

from collections.abc import Mapping
from pathlib import Path

from dnslb.config.reading import Draft
from dnslb.config.schema import MemberTable, ProbeTable
from dnslb.config.zones import ServedZone, zone_of
from dnslb.probe.recipe import PORTS, Auth, Kind, Recipe, StartTls, Tlsa
from dnslb.wire.name import WILDCARD, ancestors, from_text, to_text
from dnslb.wire.rrtype import CNAME, DNAME, TLSA
from dnslb.zone.rrset import RRset

_MAX_ALIASES = 8


def recipe_of(
    name: str, probe: ProbeTable, password: str, directory: Path, zones: Mapping[bytes, ServedZone]
) -> Recipe:
    """Build a probe's recipe. `password` is what its password file holds, `directory` what its paths are relative to.

    What is examined more seldom than the session has at least the interval of the session, whatever its default.
    """
    apex = next(iter(zones), None)
    return Recipe(
        name=name,
        kind=probe.kind,
        port=_port(probe),
        interval=probe.interval,
        timeout=probe.timeout,
        rise=probe.rise,
        fall=probe.fall,
        ehlo=probe.ehlo or (f"probe.{to_text(apex)}" if apex else "probe.invalid"),
        source=tuple(probe.source),
        starttls=starttls_of(probe),
        verify=probe.verify,
        ca_file=directory / probe.ca_file if probe.ca_file else None,
        capabilities=tuple(dict.fromkeys(probe.capabilities)),
        proxy=probe.proxy,
        auth=Auth(probe.auth.user, password) if probe.auth else None,
        rcpt_to=probe.rcpt_to,
        mail_from=probe.mail_from,
        tls_interval=max(probe.tls_interval, probe.interval),
        certificate_interval=max(probe.certificate_interval, probe.interval),
        recipient_interval=max(probe.recipient_interval, probe.interval),
        auth_interval=max(probe.auth_interval, probe.interval),
    )


def effective_port(member: MemberTable, probe: ProbeTable) -> int:
    """Return the port that a member is probed at; 0 when a tcp probe names none, which is an error of its own."""
    return member.port or _port(probe)


def _port(probe: ProbeTable) -> int:
    return probe.port or PORTS.get(probe.kind, 0)


def starttls_of(probe: ProbeTable) -> StartTls:
    """Return when a probe asks for TLS; never where TLS comes first, or nothing is said at all."""
    return StartTls.OFF if probe.kind in {Kind.SMTPS, Kind.TCP} else probe.starttls


def sees_tls(probe: ProbeTable) -> bool:
    """Return whether a probe may get to see a certificate."""
    return probe.kind is Kind.SMTPS or starttls_of(probe) is not StartTls.OFF


def homes(draft: Draft, zones: Mapping[bytes, ServedZone]) -> dict[str, bytes]:
    """Return the apex below which a pool's members have their names: the zone of the first service that uses it."""
    found: dict[str, bytes] = {}
    for service in draft.services.values():
        try:
            zone = zone_of(from_text(service.name), zones)
        except ValueError:
            continue
        if zone:
            found.setdefault(service.pool, zone.apex)
    return found


def host_of(member: MemberTable, home: bytes | None) -> str:
    """Return the name that a member's certificate should have, "" if there is none."""
    if not member.host and home is None:
        return ""
    try:
        return to_text(from_text(member.host or f"{member.name}.{to_text(home or b'')}"))
    except ValueError:
        return ""


def tlsa_name(host: str, port: int) -> str:
    """Return where the TLSA records of a host's TCP port stand (RFC 6698 section 3)."""
    return f"_{port}._tcp.{host}"


def tlsa_of(host: str, port: int, zones: Mapping[bytes, ServedZone]) -> tuple[Tlsa, ...] | None:
    """Return a host's TLSA records, by way of wildcards and aliases (RFC 7671 section 7) of our zones.

    None means that they stand in no zone of ours, and have to be looked up.
    """
    try:
        owner, name = from_text(host), from_text(tlsa_name(host, port))
    except ValueError:
        # Too long to exist anywhere.
        return ()
    for _ in range(_MAX_ALIASES):
        zone = zone_of(name, zones)
        if zone is None or zone.shape.cut_above(name):
            return None
        if above := zone.shape.dname_above(name):
            name = name[: -len(above)] + zone.records.nodes[above][DNAME].rdata[0].lower()
            continue
        records = _records_at(name, zone, owner)
        if CNAME not in records:
            return tuple(map(_tlsa, records[TLSA].rdata)) if TLSA in records else ()
        name = records[CNAME].rdata[0].lower()
    return ()


def _records_at(name: bytes, zone: ServedZone, host: bytes) -> Mapping[int, RRset]:
    """Return what a question for the name finds; the host exists, though its records are not in the zone's file."""
    nodes = zone.records.nodes
    for ancestor in ancestors(name):
        if ancestor in zone.shape.names or ancestor == host:
            return nodes.get(name if ancestor == name else WILDCARD + ancestor, {})
    return {}


def _tlsa(rdata: bytes) -> Tlsa:
    return Tlsa(rdata[0], rdata[1], rdata[2], rdata[3:])
