"""What must hold between tables, and between tables and zones: each table is valid by itself before."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

from dnslb.answer.service import Preference, ServiceType
from dnslb.config import values
from dnslb.config.building import is_by_source, pool_of, record_count
from dnslb.config.claims import are_all_read, claims
from dnslb.config.fragments import check_fragments
from dnslb.config.names import check_names
from dnslb.config.positions import KeyPath
from dnslb.config.probes import FAMILIES, check_probes
from dnslb.config.reading import Draft, PoolDraft
from dnslb.config.recipes import effective_port
from dnslb.config.references import check_reference
from dnslb.config.report import Report
from dnslb.config.schema import MemberTable, ServerTable, ServiceTable
from dnslb.config.views import check_views
from dnslb.config.zones import ServedZone
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.member import Address, Policy, Pool
from dnslb.pool.selection import Candidate, Choice, best_tier, select
from dnslb.probe.recipe import Kind

_MANY_MEMBERS = 10
_MESSAGES = 1000
_LOOKUPS = {ServiceType.ADDRESS: 2, ServiceType.MX: 3, ServiceType.SRV: 3}
"""What a sender asks for: A and AAAA, and for MX and SRV first that, then those of the first host."""


def crosscheck(draft: Draft, zones: Mapping[bytes, ServedZone], report: Report) -> None:
    """Note every contradiction, and what works but may surprise."""
    if draft.server:
        _check_listeners(draft.server, report)
    if "zone" not in report.raw:
        report.error(("zone",), 'missing, expected at least one [zone."NAME"]')
    check_probes(draft, report)
    for name, pool in draft.pools.items():
        _check_pool(name, pool, draft, report)
    # Once for each pool: ten services of each of a thousand pools would take seconds.
    well = {name: _when_well(pool_of(name, pool)) for name, pool in draft.pools.items() if pool.table}
    for index, service in draft.services.items():
        check_reference(("service", index, "pool"), "pool", service.pool, report)
        _check_answers(service, ("service", index), draft, well, report)
        _check_asking(service, ("service", index, "ttl"), draft, report)
    for index, fragment in draft.fragments.items():
        check_reference(("service", index, "pool"), "pool", fragment.pool, report)
    _check_srv(draft, report)
    _check_use(draft, report)
    check_views(draft, report)
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
    if server.http and not server.http.host.is_loopback and server.tokens is None:
        report.error(
            ("server", "http"),
            'expected a loopback address, or "tokens" beside it: the path of a file with a line NAME read TOKEN;'
            " without, everybody who reaches this address could read there",
        )


def _check_pool(name: str, pool: PoolDraft, draft: Draft, report: Report) -> None:
    path = ("pool", name)
    try:
        values.label(name)
    except ValueError as error:
        report.error(path, str(error))
    if pool.table:
        check_reference((*path, "probe"), "probe", pool.table.probe, report)
    if not pool.written:
        report.error((*path, "member"), f"missing, expected at least one [[pool.{name}.member]]")
    elif len(pool.members) == pool.written and not any(member.weight for member in pool.members.values()):
        report.error(path, "every member has weight 0, expected at least one above 0")
    _check_members(pool, path, draft, report)
    _check_families(pool.members.values(), path, report)
    if pool.table:
        _check_tiers(path, pool_of(name, pool), report)
        probe = draft.probes.get(pool.table.probe)
        if pool.table.policy is Policy.LATENCY and probe and probe.kind is Kind.TCP:
            report.warn((*path, "policy"), "a probe of kind tcp waits for no greeting: all members count alike")


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
        lists: dict[KeyPath, list[Address]] = {("addresses",): member.addresses}
        lists |= {("view_addresses", view): addresses for view, addresses in member.view_addresses.items()}
        for key, addresses in lists.items():
            for place, address in enumerate(addresses):
                owner = owners.setdefault((key, address, port), member.name)
                if owner != member.name or address in addresses[:place]:
                    report.error((*here, *key, place), f"member {owner} has this address and port already")


def _check_families(members: Collection[MemberTable], path: KeyPath, report: Report) -> None:
    """Note members that lack a family of addresses that others have, to all clients or to those of a view."""
    views = dict.fromkeys(view for member in members for view in member.view_addresses)
    for view in ("", *views):
        addresses = {member.name: member.view_addresses.get(view, member.addresses) for member in members}
        versions = {name: {address.version for address in of} for name, of in addresses.items()}
        for version, family in FAMILIES.items():
            lacking = [name for name, found in versions.items() if version not in found]
            if lacking and len(lacking) < len(versions):
                verb = "has" if len(lacking) == 1 else "have"
                report.warn(
                    path,
                    f"{', '.join(lacking)} {verb} no {family} address{f' in view {view}' if view else ''}: mail over "
                    f"{family} goes to the others alone",
                )


def _check_tiers(path: KeyPath, pool: Pool, report: Report) -> None:
    """Note a `tier_min` that better tiers never hold."""
    joined = {choice.member.tier for choice in _when_well(pool) if choice.tier != choice.member.tier}
    if joined:
        report.warn(
            (*path, "tier_min"), f"better tiers do not hold it: tier {min(joined)} is in the answers also if all are up"
        )


def _check_answers(
    service: ServiceTable, path: KeyPath, draft: Draft, well: Mapping[str, Sequence[Choice]], report: Report
) -> None:
    """Note what becomes of the records and the weights that are asked for, while all members are `well`."""
    written = draft.pools.get(service.pool)
    if written is None or written.table is None or service.type is ServiceType.SRV:
        return
    published = well[service.pool]
    ranked = service.type is ServiceType.MX and service.preference is Preference.RANKED
    _check_records(service, path, published, report)
    if published and not ranked:
        check = _check_affinity if is_by_source(written) else _check_shares
        check(record_count(service, written), path, best_tier(published), report)


def _check_records(service: ServiceTable, path: KeyPath, published: Sequence[Choice], report: Report) -> None:
    """Note more records than there are members to fill them."""
    wanted = service.records if "records" in service.model_fields_set else None
    held = best_tier(published) if service.type is ServiceType.ADDRESS else published
    if wanted is None or wanted <= len(held) or not held:
        return
    count = f"{len(held)} member{'s' if len(held) > 1 else ''} with a weight"
    tier = f" in tier {held[0].tier}" if len(held) < len(published) else ""
    report.warn(
        (*path, "records"),
        f"{wanted} are more than the {count} that pool {service.pool} has{tier}: an answer holds {len(held)}",
    )


def _check_shares(records: int | None, path: KeyPath, best: Sequence[Choice], report: Report) -> None:
    """Note a member that gets less than its weight asks for, because each of k records gets at most 1/k."""
    listed = min(records or len(best), len(best))
    heaviest = max(best, key=attrgetter("weight"))
    total = sum(choice.weight for choice in best)
    if listed * heaviest.weight > total:
        report.warn(
            path,
            f"with {listed} records in an answer {heaviest.member.name} gets at most {100 / listed:.0f}% of new "
            f"connections, and its weight asks for {100 * heaviest.weight / total:.0f}%: use fewer records, or MX with "
            "ranked preference",
        )


def _check_affinity(records: int | None, path: KeyPath, best: Sequence[Choice], report: Report) -> None:
    """Note that a client has several members, where its pool should give it one."""
    listed = min(records or len(best), len(best))
    if listed > 1:
        report.warn(
            path,
            f"with {listed} records in an answer each client has {listed} members, and takes any of them each time: "
            "source-hash wants records = 1, or MX with ranked preference",
        )


def _check_srv(draft: Draft, report: Report) -> None:
    """Note SRV records of a pool that should give each client a member of its own."""
    for claim in claims(draft):
        if claim.type is ServiceType.SRV and is_by_source(draft.pools.get(claim.table.pool)):
            report.warn(
                claim.path, f"{claim.subject}SRV records are the same for all clients: source-hash does nothing here"
            )


def _check_asking(service: ServiceTable, path: KeyPath, draft: Draft, report: Report) -> None:
    """Note that nobody keeps the long answers of a large pool: each message brings its own queries."""
    pool = draft.pools.get(service.pool)
    if service.ttl.max or pool is None or len(pool.members) < _MANY_MEMBERS:
        return
    queries = _MESSAGES * _LOOKUPS[service.type]
    listed = min(record_count(service, pool) or len(pool.members), len(pool.members))
    report.warn(
        path,
        f"resolvers keep nothing, so every message asks: {_MESSAGES} messages a second are some {queries} queries a "
        f"second, and {listed} of {len(pool.members)} members in each answer; with 5 a resolver asks every 5 s at most",
    )


def _when_well(pool: Pool) -> tuple[Choice, ...]:
    """Return what is published of a pool while all its members are up."""
    well = [Candidate(member, Admin(), Health(State.UP)) for member in pool.members if member.weight]
    return select(pool, well, frozenset()).published if well else ()


def _check_use(draft: Draft, report: Report) -> None:
    used = {table.pool for table in draft.services.values()} | {table.pool for table in draft.fragments.values()}
    if are_all_read(draft, report):
        for name in draft.pools:
            if name not in used:
                report.warn(("pool", name), "no service uses this pool")
    # Likewise a broken pool may be the one that uses the probe.
    probing = {pool.table.probe for pool in draft.pools.values() if pool.table}
    for name in draft.probes:
        if name not in probing and all(pool.table for pool in draft.pools.values()):
            report.warn(("probe", name), "no pool uses this probe")
