"""What views and EDNS Client Subnet add to the CPU time of a query."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING

import dns.edns
import dns.message

from dnslb import config
from dnslb.answer.compiler import Pools
from dnslb.answer.responder import respond
from dnslb.answer.turns import Turns
from dnslb.answer.world import build
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.selection import Candidate, select
from dnslb.publisher import compile_all
from tests.bench.parts import Stage, write_config
from tests.bench.report import figure, say, table, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dnslb.answer.snapshot import Snapshot
    from dnslb.pool.member import Member

ROUNDS = 41
QUERIES = 4_000
LIMIT = 0.5
_NAME = "relay.lb.example.org"
_CLIENTS = [IPv4Address(f"{first}.{number}.7.9").packed for number in range(0, 250, 8) for first in (10, 203)]
"""Half of them are in a view, where there are views."""
_NO_VIEWS = "no views"
_BELIEVED = "the same, ECS believed"
_MANY = "2 views, 1,000 networks"
_EDNS, _ECS = "EDNS", "EDNS with ECS"
_VIEWS = ["first", "second"]

_CONFIG = """
[server]
listen = ["127.0.0.1:5300"]
{server}
[zone."lb.example.org"]
file = "zone"
[probe.tcp]
kind = "tcp"
port = 25
{views}
[pool.outer]
probe = "tcp"
{outer}
[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "outer"
records = 2
"""
_SEEN = """
[pool.inner]
probe = "tcp"
{inner}
[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "inner"
records = 2
views = {views}
"""
_MEMBER = '[[pool.{pool}.member]]\nname = "{pool}{number}"\naddresses = ["192.0.{third}.{number}"]\n'


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of query to one configuration, and the microseconds of CPU that it took in each round."""

    query: bytes
    snapshot: Snapshot
    rounds: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    title("8. CPU time that views and EDNS Client Subnet add to a query")
    say(
        "`respond` alone, without sockets: an address service, 2 of 4 members in an answer;"
        f" {len(_CLIENTS)} clients, half of them in a\n"
        f"view. Microseconds of CPU per query, medians of {ROUNDS} interleaved rounds of {QUERIES:,} queries.\n"
        "Those with ECS are for a network that was asked for before."
    )
    with Stage() as stage:
        snapshots = {name: _snapshot(stage.path, text) for name, text in _configurations().items()}
    cases = {
        (form, name): Case(query, snapshot)
        for form, query in _queries().items()
        for name, snapshot in snapshots.items()
    }
    _measure(list(cases.values()))
    _print(cases, list(snapshots))


def _configurations() -> dict[str, str]:
    few = (["10.0.0.0/9"], ["10.128.0.0/9"])
    # Neighbours are of different views, or nobody's: they cannot be taken together.
    many = tuple(
        [f"10.{second}.{7 + third}.0/24" for second in range(250) for third in (view, 3 + view)] for view in (0, 1)
    )
    believed = 'ecs_resolvers = ["10.0.0.0/8", "203.0.0.0/8"]'
    return {
        _NO_VIEWS: _configuration(()),
        "2 views": _configuration(few),
        _MANY: _configuration(many),
        _BELIEVED: _configuration(many, believed),
    }


def _configuration(sources: Sequence[Sequence[str]], server: str = "") -> str:
    views = "".join(
        f"[view.{name}]\nsources = {json.dumps(networks)}\n" for name, networks in zip(_VIEWS, sources, strict=False)
    )
    text = _CONFIG.format(server=server, views=views, outer=_members("outer", 2))
    return text + _SEEN.format(inner=_members("inner", 3), views=json.dumps(_VIEWS)) if sources else text


def _members(pool: str, third: int) -> str:
    return "".join(_MEMBER.format(pool=pool, third=third, number=number) for number in range(1, 5))


def _snapshot(directory: Path, text: str) -> Snapshot:
    """Compile the answers of a configuration while all members are up."""
    settings = config.load(write_config(directory, text))
    world = build(settings.zones, settings.pools, settings.services, settings.audience)
    selections = {name: select(pool, list(map(_up, pool.members)), frozenset()) for name, pool in world.pools.items()}
    return compile_all(world, Pools(selections, dict.fromkeys(world.zones, 1)), 1)


def _up(member: Member) -> Candidate:
    return Candidate(member, Admin(), Health(State.UP))


def _queries() -> dict[str, bytes]:
    subnet = dns.edns.ECSOption("10.8.7.0", 24)
    return {
        "plain": dns.message.make_query(_NAME, "A").to_wire(),
        _EDNS: dns.message.make_query(_NAME, "A", use_edns=0, payload=1232).to_wire(),
        _ECS: dns.message.make_query(_NAME, "A", use_edns=0, payload=1232, options=[subnet]).to_wire(),
    }


def _measure(cases: Sequence[Case]) -> None:
    """Let each case have its turn in each round, after one that only warms up."""
    for turn in range(ROUNDS + 1):
        begin = turn % len(cases)
        for case in (*cases[begin:], *cases[:begin]):
            took = _one_round(case)
            if turn:
                case.rounds.append(took)


def _one_round(case: Case) -> float:
    """Return the microseconds of CPU per query."""
    query, snapshot, turns = case.query, case.snapshot, Turns(0)
    clients = list(islice(cycle(_CLIENTS), QUERIES))
    gc.disable()
    try:
        began = time.process_time()
        for client in clients:
            respond(query, snapshot, turns, client)
        return 1e6 * (time.process_time() - began) / QUERIES
    finally:
        gc.enable()


def _print(cases: Mapping[tuple[str, str], Case], names: Sequence[str]) -> None:
    forms = list(dict.fromkeys(form for form, _ in cases))
    table(("query", *names), [(form, *(f"{median(cases[form, name].rounds):.2f}" for name in names)) for form in forms])
    for form in forms:
        for name in ("2 views", _MANY):
            figure(f"{form}, {name}", _added(cases[form, name], cases[form, _NO_VIEWS]), LIMIT, "us")
    believed, ignored = cases[_ECS, _BELIEVED], cases[_ECS, _MANY]
    figure(f"{_ECS}, believed beside ignored", _added(believed, ignored), LIMIT, "us")
    say(f"{_ECS}, believed, beside {_EDNS} without it: {_added(believed, cases[_EDNS, _MANY]):.2f} us")


def _added(case: Case, beside: Case) -> float:
    """Return the median of what it took more in the same round."""
    return median(more - less for more, less in zip(case.rounds, beside.rounds, strict=True))
