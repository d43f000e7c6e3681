"""The service and the pool that are simulated, from a configuration or from weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import click

from dnslb.answer.service import DEFAULT_TTL, Service, ServiceType, default_records, rivals
from dnslb.cli.options import Misconfigured, find_config
from dnslb.pool.health import Thresholds
from dnslb.pool.member import Member, Policy, Pool
from dnslb.wire.name import from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from dnslb.answer.service import Ttl
    from dnslb.config import Settings

_FIRST_ADDRESS = IPv4Address("198.18.0.0")
"""The range for tests of networks (RFC 2544); nobody is spoken to."""
_NAME = "lb.example.org"
_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is simulated, under the name that people know it by."""

    name: str
    service: Service
    pool: Pool
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Changes:
    """What is typed of a service: instead of what a configuration says, or all there is. None where nothing is."""

    type: ServiceType | None
    records: int | None
    all_records: bool
    ttl: Ttl | None
    policy: Policy | None


def of_weights(weights: Sequence[int], changes: Changes) -> Subject:
    """Return a service of members mx1, mx2, ... with these weights."""
    members = tuple(
        Member(f"mx{number}", (_FIRST_ADDRESS + number,), weight) for number, weight in enumerate(weights, 1)
    )
    kind = changes.type or ServiceType.ADDRESS
    name = from_text(_NAME)
    pool = Pool("pool", members, changes.policy or Policy.WEIGHTED)
    records = default_records(kind, by_source=pool.policy is Policy.SOURCE_HASH)
    service = Service(name, name, kind, pool.name, records, DEFAULT_TTL)
    return Subject(f"{kind} service", _changed(service, changes), pool, _THRESHOLDS)


def of_configuration(config: Path | None, name: str | None, view: str | None, changes: Changes) -> Subject:
    """Return a service of a configuration: the one that is named, or the only one. Raise click's exceptions.

    With a `view` it is the one that its clients get, with the addresses that they get.
    """
    settings = _settings(config)
    if view is not None and view not in settings.audience.sources:
        known = ", ".join(settings.audience.sources) or "none"
        raise click.UsageError(f"there is no view {view} (views: {known})")
    service = _service(_seen_from(view or "", settings.services), name, changes.type)
    pool = _in_view(settings.pools[service.pool], view or service.view)
    pool = replace(pool, policy=changes.policy or pool.policy)
    recipe = next(target.recipe for target in settings.targets if target.pool == pool.name)
    thresholds = Thresholds(recipe.rise, recipe.fall, recipe.interval)
    return Subject(_named(service), _changed(replace(service, view=""), changes), pool, thresholds)


def _seen_from(view: str, services: Iterable[Service]) -> Iterator[Service]:
    """Yield for each name and type the service that clients of the view get; all of them where that is none."""
    for those in rivals(services):
        mine = [service for service in those if service.view == view] or [each for each in those if not each.view]
        yield from mine or those


def _in_view(pool: Pool, view: str) -> Pool:
    members = (replace(member, addresses=member.addresses_in(view), view_addresses=()) for member in pool.members)
    return replace(pool, members=tuple(members))


def _named(service: Service) -> str:
    words = f"{to_text(service.name)} {service.type}"
    return f"{words} --view {service.view}" if service.view else words


def _changed(service: Service, changes: Changes) -> Service:
    if changes.all_records or changes.records is not None:
        service = replace(service, records=changes.records)
    return service if changes.ttl is None else replace(service, ttl=changes.ttl)


def _settings(config: Path | None) -> Settings:
    # pydantic and dnspython are read only here: weights do without.
    from dnslb.config import ConfigError, load  # noqa: PLC0415  # see above

    try:
        path = find_config(config)
    except Misconfigured as error:
        if config is not None:
            raise
        raise Misconfigured(f"{error}; or do without one, by --weights 5,3,1,1") from None
    try:
        return load(path)
    except ConfigError as error:
        raise Misconfigured("\n".join(map(str, error.problems))) from None


def _service(services: Iterable[Service], name: str | None, kind: ServiceType | None) -> Service:
    known = list(services)
    if name is not None:
        wanted = name.removesuffix(".").lower()
        found = [service for service in known if to_text(service.name).removesuffix(".") == wanted]
    else:
        found = known
    if kind is not None:
        found = [service for service in found if service.type is kind]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(map(_named, found or known)) or "none"
    if found:
        raise click.UsageError(
            f"which service? there are {listed}: name one, and its --type or --view where that is not enough"
        )
    raise click.UsageError(f"there is no service {' '.join(filter(None, (name, kind)))}; there are {listed}")
