"""What must hold between tables, and between tables and zones: each table is valid by itself before."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from dnslb.answer.service import Preference, ServiceType
from dnslb.config import values
from dnslb.config.building import record_count
from dnslb.config.fragments import check_fragments
from dnslb.config.names import check_names
from dnslb.config.positions import KeyPath
from dnslb.config.probes import FAMILIES, check_probes
from dnslb.config.reading import Draft, PoolDraft
from dnslb.config.recipes import effective_port
from dnslb.config.report import Report
from dnslb.config.schema import MemberTable, ServerTable, ServiceTable
from dnslb.config.zones import ServedZone
from dnslb.pool.member import Policy


def crosscheck(draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note every contradiction, and what works but may surprise."""
    if draft.server:
        _check_listeners(draft.server, report)
    if "zone" not in report.raw:
        report.error(("zone",), 'missing, expected at least one [zone."NAME"]')
    check_probes(draft, report)
    for name, pool in draft.pools.items():
        _check_pool(name, pool, draft, report)
    for index, service in draft.services.items():
        _check_reference(("service", index, "pool"), service.pool, _written("pool", report), report)
        _check_shares(service, ("service", index), draft, report)
    for index, fragment in draft.fragments.items():
        _check_reference(("service", index, "pool"), fragment.pool, _written("pool", report), report)
    _check_use(draft, report)
    check_names(draft, zones, report)
    check_fragments(draft, zones, report)


def _check_listeners(server: ServerTable, report: Report) -> None:
    seen = set()
    for index, where in enumerate(server.listen):
        if where in seen:
            report.error(("server", "listen", index), "listed twice")
        if where.port:
            seen.add(where)
    if server.http in seen:
        report.error(("server", "http"), "this address and port answer DNS over TCP already (listen)")


def _check_pool(name: str, pool: PoolDraft, draft: Draft, report: Report) -> None:
    path = ("pool", name)
    try:
        values.label(name)
    except ValueError as error:
        report.error(path, str(error))
    if pool.table:
        _check_reference((*path, "probe"), pool.table.probe, _written("probe", report), report)
    if not pool.written:
        report.error((*path, "member"), f"missing, expected at least one [[pool.{name}.member]]")
    elif len(pool.members) == pool.written and not any(member.weight for member in pool.members.values()):
        report.error(path, "every member has weight 0, expected at least one above 0")
    _check_members(pool, path, draft, report)
    _check_families(pool.members.values(), path, report)


def _check_members(pool: PoolDraft, path: KeyPath, draft: Draft, report: Report) -> None:
    probe = draft.probes.get(pool.table.probe) if pool.table else None
    names: dict[str, str] = {}
    owners: dict[object, str] = {}
    for index, member in pool.members.items():
        here = (*path, "member", index)
        if member.name.lower() in names:
            report.broken((*here, "name"), "another member of this pool has this name")
        names.setdefault(member.name.lower(), member.name)
        port = effective_port(member, probe) if probe else member.port
        for place, address in enumerate(member.addresses):
            owner = owners.setdefault((address, port), member.name)
            if owner != member.name or address in member.addresses[:place]:
                report.error((*here, "addresses", place), f"member {owner} has this address and port already")


def _check_families(members: Iterable[MemberTable], path: KeyPath, report: Report) -> None:
    lists = {member.name: {address.version for address in member.addresses} for member in members}
    for version, family in FAMILIES.items():
        lacking = [name for name, versions in lists.items() if version not in versions]
        if lacking and len(lacking) < len(lists):
            verb = "has" if len(lacking) == 1 else "have"
            report.warn(
                path, f"{', '.join(lacking)} {verb} no {family} address: shares differ for {family}-only clients"
            )


def _check_shares(service: ServiceTable, path: KeyPath, draft: Draft, report: Report) -> None:
    """Note a member that gets less than its weight asks for, because each of k records gets at most 1/k."""
    records = record_count(service)
    pool = draft.pools.get(service.pool)
    ranked = service.type is ServiceType.MX and service.preference is Preference.RANKED
    if pool is None or pool.table is None or ranked or service.type is ServiceType.SRV:
        return
    weights = {member.name: member.weight for member in _best_tier(pool.members.values())}
    listed = min(records or len(weights), len(weights))
    if not weights or pool.table.policy is Policy.ROUND_ROBIN:
        return
    name, heaviest = max(weights.items(), key=lambda item: item[1])
    total = sum(weights.values())
    if listed * heaviest > total:
        report.warn(
            path,
            f"with {listed} records in an answer {name} gets at most {100 / listed:.0f}% of new connections, and its "
            f"weight asks for {100 * heaviest / total:.0f}%: use fewer records, or MX with ranked preference",
        )


def _best_tier(members: Collection[MemberTable]) -> list[MemberTable]:
    weighty = [member for member in members if member.weight]
    best = min((member.tier for member in weighty), default=None)
    return [member for member in weighty if member.tier == best]


def _check_use(draft: Draft, report: Report) -> None:
    used = {table.pool for table in draft.services.values()} | {table.pool for table in draft.fragments.values()}
    # A broken service may be the one that uses the pool, and a broken pool the one that uses the probe.
    written = report.raw.get("service", [])
    whole = isinstance(written, list) and len(draft.services) + len(draft.fragments) == len(written)
    for name in draft.pools:
        if whole and name not in used:
            report.warn(("pool", name), "no service uses this pool")
    probing = {pool.table.probe for pool in draft.pools.values() if pool.table}
    for name in draft.probes:
        if name not in probing and all(pool.table for pool in draft.pools.values()):
            report.warn(("probe", name), "no pool uses this probe")


def _written(kind: str, report: Report) -> Collection[str]:
    """Return the names of the tables of a kind, valid or not."""
    tables = report.raw.get(kind)
    return tables if isinstance(tables, dict) else {}


def _check_reference(path: KeyPath, name: str, known: Collection[str], report: Report) -> None:
    """Note a name that no table has, and which one may have been meant."""
    if name in known:
        return
    kind = path[-1]
    if close := get_close_matches(name, known, 1):
        report.error(path, f"no such {kind}, did you mean {close[0]}?")
    else:
        report.error(path, f"no such {kind}, expected one of {', '.join(known)}" if known else f"no such {kind}")
