"""What must hold between a probe and the members that it probes: names, TLSA records, servers that are shared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dnslb.config.positions import KeyPath
from dnslb.config.reading import Draft
from dnslb.config.recipes import effective_port, homes, host_of, recipe_of, sees_tls, tlsa_name, tlsa_of
from dnslb.config.report import Report
from dnslb.config.schema import MemberTable, ProbeTable
from dnslb.config.settings import Endpoint
from dnslb.config.zones import ServedZone, zone_of
from dnslb.probe.recipe import Kind, Recipe, Verify
from dnslb.wire.name import from_text, to_text

_FOR_MAIL = frozenset({2, 3})
"""The certificate usages that senders of mail heed (RFC 7672 section 3.1)."""

_ADD_ONE = "add one, as 3 1 1 with the data that `dnslb probe` shows"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A member as a probe meets it. `home` is the zone that its default host lies in; `path` is the member's."""

    path: KeyPath
    pool: str
    member: MemberTable
    probe_name: str
    probe: ProbeTable
    home: bytes | None

    @property
    def port(self) -> int:
        """The port that this member is probed at."""
        return effective_port(self.member, self.probe)

    @property
    def host_path(self) -> KeyPath:
        """The key that gives the member's host."""
        return (*self.path, "host" if self.member.host else "name")


def check_targets(
    draft: Draft, zones: Mapping[bytes, ServedZone], passwords: Mapping[str, str], report: Report
) -> None:
    """Note every member that its probe could not judge, and every server that two different probes visit."""
    meetings = list(_meetings(draft, zones))
    for meeting in meetings:
        if meeting.probe.kind is not Kind.TCP and meeting.probe.verify is not Verify.NONE:
            _check_host(meeting, draft, zones, report)
    _check_published(meetings, zones, report)
    recipes = {
        name: replace(recipe_of(name, probe, passwords.get(name, ""), draft.path.parent, zones), name="", port=0)
        for name, probe in draft.probes.items()
    }
    _check_shared(meetings, recipes, report)


def _meetings(draft: Draft, zones: Mapping[bytes, ServedZone]) -> Iterator[_Meeting]:
    home = homes(draft, zones)
    for pool, written in draft.pools.items():
        probe = draft.probes.get(written.table.probe) if written.table else None
        if written.table is None or probe is None:
            continue
        for index, member in written.members.items():
            path = ("pool", pool, "member", index)
            yield _Meeting(path, pool, member, written.table.probe, probe, home.get(pool))


def _check_host(meeting: _Meeting, draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    host = host_of(meeting.member, meeting.home)
    wants = f'probe {meeting.probe_name} has verify = "{meeting.probe.verify}"'
    if not host:
        if reason := _why_nameless(meeting, draft, report):
            report.error((*meeting.path, "host"), f"missing, {wants}: expected a host name, {reason}")
    elif meeting.probe.verify is Verify.DANE:
        _check_tlsa(meeting, host, wants, zones, report)


def _why_nameless(meeting: _Meeting, draft: Draft, report: Report) -> str:
    """Say why a member has no host by default; "" where a broken service may be the one that gives it."""
    if meeting.home is not None:
        return f"since {meeting.member.name}.{to_text(meeting.home)} is longer than a name may be"
    written = report.raw.get("service", [])
    broken = not isinstance(written, list) or len(draft.services) + len(draft.fragments) < len(written)
    used = any(service.pool == meeting.pool for service in draft.services.values())
    return "" if broken or used else "since no service uses this pool and gives it one"


def _check_tlsa(meeting: _Meeting, host: str, wants: str, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    records = tlsa_of(host, meeting.port, zones)
    zone = zone_of(from_text(host), zones)
    # A line of the zone that was not understood may be the record that is missed.
    if records is None or not all(served.whole for served in zones.values()):
        return
    name = tlsa_name(host, meeting.port)
    where = f"zone {zone.written}" if zone else "our zones"
    if not records:
        report.error(meeting.host_path, f"{wants}, and {where} has no TLSA record at {name}: {_ADD_ONE}")
    elif not any(record.usage in _FOR_MAIL for record in records):
        report.error(
            meeting.host_path,
            f"{wants}, and no TLSA record at {name} has usage 3 or 2, the ones that mail heeds (RFC 7672 3.1): "
            f"{_ADD_ONE}",
        )


def _check_published(meetings: list[_Meeting], zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note pools whose members promise a certificate in DNS that nobody holds against the real one."""
    found: dict[tuple[str, str], list[str]] = {}
    for meeting in meetings:
        if not sees_tls(meeting.probe) or meeting.probe.verify is Verify.DANE:
            continue
        host = host_of(meeting.member, meeting.home)
        if host and tlsa_of(host, meeting.port, zones):
            names = found.setdefault((meeting.pool, meeting.probe_name), [])
            names.append(meeting.member.name)
    for (pool, probe), names in found.items():
        report.warn(
            ("pool", pool),
            f"TLSA records of {_some(names)} are published, and probe {probe} does not compare them with the "
            'certificate: use verify = "dane"',
        )


def _check_shared(meetings: list[_Meeting], recipes: Mapping[str, Recipe], report: Report) -> None:
    first: dict[tuple[object, int], str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for meeting in meetings:
        for address in meeting.member.addresses:
            other = first.setdefault((address, meeting.port), meeting.probe_name)
            if recipes[other] != recipes[meeting.probe_name]:
                places = shared.setdefault((other, meeting.probe_name), [])
                places.append(str(Endpoint(address, meeting.port)))
    for (one, other), places in shared.items():
        report.warn(
            ("probe", other),
            f"visits {_some(list(dict.fromkeys(places)))} as the different probe {one} does: they take turns, since a "
            "server gets one conversation at a time",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
