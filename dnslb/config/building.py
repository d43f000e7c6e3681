"""A draft in which nothing is wrong becomes the frozen values that the daemon is built from."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnslb.answer.service import Service, ServiceType, default_records
from dnslb.answer.terms import Limit, Terms
from dnslb.answer.views import Audience, views_of
from dnslb.config.claims import Claim, by_view, claims
from dnslb.config.fragments import zones_with_fragments
from dnslb.config.reading import Draft, PoolDraft
from dnslb.config.recipes import homes, host_of, recipe_of, tlsa_of
from dnslb.config.schema import MemberTable, RateLimitTable, ServerTable, ServiceTable
from dnslb.config.settings import ServerSettings, Settings
from dnslb.config.zones import ServedZone, zone_of
from dnslb.control.http.tokens import Token
from dnslb.notify import target as notify
from dnslb.pool.member import Member, Policy, Pool
from dnslb.probe.recipe import Recipe, Target
from dnslb.wire.name import from_text, to_text


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the configuration leaves to files of their own: passwords by probe, secrets of cookies, tokens of HTTP."""

    passwords: Mapping[str, str]
    cookies: tuple[bytes, ...]
    tokens: tuple[Token, ...]


def settings_of(
    draft: Draft,
    zones: Mapping[bytes, ServedZone],
    secrets: Secrets,
    notices: tuple[notify.Target, ...],
    warnings: tuple[str, ...],
) -> Settings:
    """Build the settings; only for a draft whose report has no problem."""
    return Settings(
        path=draft.path,
        server=_server(draft.server or ServerTable(), draft.path.parent),
        zones=zones_with_fragments(draft, zones),
        pools={name: pool_of(name, pool) for name, pool in draft.pools.items()},
        targets=tuple(_targets(draft, zones, secrets.passwords)),
        services=tuple(
            _service(claim, view, draft.pools[claim.table.pool], zones) for claim, view in by_view(claims(draft))
        ),
        audience=_audience(draft),
        terms=_terms(draft.server or ServerTable(), secrets.cookies),
        tokens=secrets.tokens,
        event_retention=(draft.server or ServerTable()).event_retention,
        notices=notices,
        warnings=warnings,
    )


def record_count(table: ServiceTable, pool: PoolDraft | None) -> int | None:
    """Return how many members an answer of the service holds, None for all; `pool` is the one that it names."""
    if "records" in table.model_fields_set:
        return table.records
    return default_records(table.type, by_source=is_by_source(pool))


def is_by_source(pool: PoolDraft | None) -> bool:
    """Return whether the pool gives each client members of its own."""
    return pool is not None and pool.table is not None and pool.table.policy is Policy.SOURCE_HASH


def _server(table: ServerTable, directory: Path) -> ServerSettings:
    state = directory / table.state
    return ServerSettings(
        listen=tuple(table.listen),
        workers=table.workers or len(os.sched_getaffinity(0)),
        cpus=tuple(table.cpus),
        state=state,
        control=state / "control.sock" if table.control is None else directory / table.control,
        http=table.http,
    )


def pool_of(name: str, draft: PoolDraft) -> Pool:
    """Build a pool of the members that are right; its own table must be."""
    if draft.table is None:
        raise ValueError(f"pool {name} is broken")
    return Pool(
        name=name,
        members=tuple(_member(table) for table in draft.members.values()),
        policy=draft.table.policy,
        all_down=draft.table.all_down,
        min_healthy=draft.table.min_healthy,
        slow_start=draft.table.slow_start,
        client_reuse=draft.table.client_reuse,
        tier_min=draft.table.tier_min,
    )


def _member(table: MemberTable) -> Member:
    host = to_text(from_text(table.host)) if table.host else ""
    in_views = tuple((view, tuple(addresses)) for view, addresses in table.view_addresses.items())
    return Member(table.name, tuple(table.addresses), table.weight, table.tier, host, table.group, in_views)


def _targets(draft: Draft, zones: Mapping[bytes, ServedZone], passwords: Mapping[str, str]) -> Iterator[Target]:
    directory, home = draft.path.parent, homes(draft, zones)
    recipes = {
        name: recipe_of(name, table, passwords.get(name, ""), directory, zones) for name, table in draft.probes.items()
    }
    for name, pool in draft.pools.items():
        if pool.table:
            recipe = recipes[pool.table.probe]
            yield from (_target(name, member, recipe, home.get(name), zones) for member in pool.members.values())


def _target(
    pool: str, table: MemberTable, recipe: Recipe, home: bytes | None, zones: Mapping[bytes, ServedZone]
) -> Target:
    port, host = table.port or recipe.port, host_of(table, home)
    tlsa = tlsa_of(host, port, zones) if host else None
    return Target(pool, table.name, tuple(table.addresses), port, recipe, host, tlsa)


def _audience(draft: Draft) -> Audience:
    resolvers = draft.server.ecs_resolvers if draft.server else []
    return Audience({name: tuple(table.sources) for name, table in draft.views.items()}, tuple(resolvers))


def _terms(table: ServerTable, secrets: tuple[bytes, ...]) -> Terms:
    return Terms(table.identity.encode(), table.version.encode(), secrets, _limit(table.rate_limit))


def _limit(table: RateLimitTable) -> Limit:
    return Limit(table.per_second, table.slip, views_of({"exempt": dict.fromkeys(table.exempt)}))


def _service(claim: Claim, view: str, pool: PoolDraft, zones: Mapping[bytes, ServedZone]) -> Service:
    table, zone = claim.table, zone_of(claim.wire, zones)
    if zone is None:
        raise ValueError(f"service {claim.name} is in no zone")
    return Service(
        name=claim.wire,
        zone=zone.apex,
        type=claim.type,
        pool=table.pool,
        # A companion lists everybody: how many an address answer should hold is no matter of it.
        records=None if claim.companion else record_count(table, pool),
        ttl=table.ttl,
        preference=table.preference,
        port=(claim.port or 0) if claim.type is ServiceType.SRV else 0,
        view=view,
    )
