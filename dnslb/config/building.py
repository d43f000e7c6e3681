"""A draft in which nothing is wrong becomes the frozen values that the daemon is built from."""

import os
from collections.abc import Mapping
from pathlib import Path

from dnslb.answer.service import Service, ServiceType
from dnslb.config.reading import Draft, PoolDraft
from dnslb.config.schema import MemberTable, ProbeTable, ServerTable, ServiceTable
from dnslb.config.settings import ServerSettings, Settings
from dnslb.config.zones import ServedZone, zone_of
from dnslb.pool.member import Member, Pool
from dnslb.probe.recipe import Kind, Recipe, Target
from dnslb.wire.name import from_text, to_text

_PORTS = {Kind.SMTP: 25, Kind.SUBMISSION: 587, Kind.SMTPS: 465, Kind.LMTP: 24}
_ADDRESS_RECORDS = 2


def settings_of(draft: Draft, zones: Mapping[bytes, ServedZone], warnings: tuple[str, ...]) -> Settings:
    """Build the settings; only for a draft whose report has no problem."""
    recipes = {name: _recipe(name, table, zones) for name, table in draft.probes.items()}
    return Settings(
        path=draft.path,
        server=_server(draft.server or ServerTable(), draft.path.parent),
        zones=tuple(zone.records for zone in zones.values()),
        pools={name: _pool(name, pool) for name, pool in draft.pools.items()},
        targets=tuple(
            _target(name, member, recipes[pool.table.probe])
            for name, pool in draft.pools.items()
            if pool.table
            for member in pool.members.values()
        ),
        services=tuple(_service(table, zones) for table in draft.services.values()),
        warnings=warnings,
    )


def effective_port(member: MemberTable, probe: ProbeTable) -> int:
    """Return the port that a member is probed at; 0 when a tcp probe names none, which is an error of its own."""
    return member.port or _probe_port(probe)


def _probe_port(probe: ProbeTable) -> int:
    return probe.port or _PORTS.get(probe.kind, 0)


def record_count(table: ServiceTable) -> int | None:
    """Return how many members an answer of the service holds, None for all."""
    if "records" in table.model_fields_set:
        return table.records
    return _ADDRESS_RECORDS if table.type is ServiceType.ADDRESS else None


def _server(table: ServerTable, directory: Path) -> ServerSettings:
    state = directory / table.state
    return ServerSettings(
        listen=tuple(table.listen),
        workers=table.workers or len(os.sched_getaffinity(0)),
        state=state,
        control=state / "control.sock" if table.control is None else directory / table.control,
        http=table.http,
    )


def _recipe(name: str, table: ProbeTable, zones: Mapping[bytes, ServedZone]) -> Recipe:
    apex = next(iter(zones), None)
    return Recipe(
        name=name,
        kind=table.kind,
        port=_probe_port(table),
        interval=table.interval,
        timeout=table.timeout,
        rise=table.rise,
        fall=table.fall,
        ehlo=table.ehlo or (f"probe.{to_text(apex)}" if apex else "probe.invalid"),
        source=tuple(table.source),
    )


def _pool(name: str, draft: PoolDraft) -> Pool:
    if draft.table is None:
        raise ValueError(f"pool {name} is broken")
    return Pool(
        name=name,
        members=tuple(_member(table) for table in draft.members.values()),
        policy=draft.table.policy,
        all_down=draft.table.all_down,
        min_healthy=draft.table.min_healthy,
    )


def _member(table: MemberTable) -> Member:
    host = to_text(from_text(table.host)) if table.host else ""
    return Member(table.name, tuple(table.addresses), table.weight, table.tier, host)


def _target(pool: str, table: MemberTable, recipe: Recipe) -> Target:
    return Target(pool, table.name, tuple(table.addresses), table.port or recipe.port, recipe)


def _service(table: ServiceTable, zones: Mapping[bytes, ServedZone]) -> Service:
    name = from_text(table.name)
    zone = zone_of(name, zones)
    if zone is None:
        raise ValueError(f"service {table.name} is in no zone")
    return Service(
        name=name,
        zone=zone.apex,
        type=table.type,
        pool=table.pool,
        records=record_count(table),
        ttl=table.ttl,
        preference=table.preference,
        port=table.port or 0,
    )
