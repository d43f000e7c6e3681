"""What it costs to give each client members of its own (policy source-hash), beside weighted."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING

import dns.message

from dnslb.answer.compiler import Pools, compile_names
from dnslb.answer.responder import respond
from dnslb.answer.service import Service, ServiceType, Ttl
from dnslb.answer.snapshot import Change
from dnslb.answer.turns import Turns
from dnslb.answer.world import World, build
from dnslb.pool.admin import Admin
from dnslb.pool.health import Health, State
from dnslb.pool.member import Member, Policy, Pool
from dnslb.pool.rendezvous import BUCKETS, source_shares
from dnslb.pool.selection import Candidate, Selection, select
from dnslb.publisher import compile_all
from dnslb.server import channel
from dnslb.wire.name import from_text
from dnslb.zone.rrset import RRset
from dnslb.zone.zone import Zone
from tests.bench.report import figure, say, table, title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dnslb.answer.snapshot import Snapshot

_ROUNDS = 41
_QUERIES = 4_000
_LIMIT = 0.3
_FLIPS = 16
_POOLS = 100
_BOTH = (Policy.WEIGHTED, Policy.SOURCE_HASH)
_SHAPES = ((ServiceType.ADDRESS, 4), (ServiceType.ADDRESS, 8), (ServiceType.MX, 4), (ServiceType.MX, 8))
_WEIGHTS = ((1, 1), (5, 3, 1, 1), (100, 70, 30, 7, 1), (1, 1, 1, 1, 1, 1, 1, 1), (50, 1))
_CLIENTS = [IPv4Address(f"10.{number}.7.9").packed for number in range(50)]
_APEX = from_text("lb.example.org")
_SOA = from_text("ns") * 2 + bytes(16) + (30).to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Flip:
    """One member goes down: the milliseconds until all that it changes is compiled, and the octets for each worker."""

    milliseconds: float
    octets: int


def main() -> None:
    """Measure and print."""
    title("10. Clients that keep their members: source-hash beside weighted")
    _print_queries()
    _print_flips()
    _print_table()
    _print_shares()


def _pool(name: str, number: int, policy: Policy, third: int = 2) -> Pool:
    members = [Member(f"mx{last}", (IPv4Address(f"192.0.{third}.{last}"),)) for last in range(1, number + 1)]
    return Pool(name, tuple(members), policy)


def _world(pools: Sequence[Pool], kind: ServiceType) -> World:
    """Return one service for each pool, with one member in an answer, or all by rank."""
    records = 1 if kind is ServiceType.ADDRESS else None
    services = [
        Service(from_text(f"{pool.name}.lb.example.org"), _APEX, kind, pool.name, records, Ttl(30, 30))
        for pool in pools
    ]
    zone = Zone(_APEX, {_APEX: {6: RRset(_APEX, 6, 60, (_SOA,))}})
    return build([zone], {pool.name: pool for pool in pools}, services)


def _selected(pool: Pool, down: str = "") -> Selection:
    said = [
        Candidate(member, Admin(), Health(State.DOWN if member.name == down else State.UP)) for member in pool.members
    ]
    return select(pool, said, frozenset())


def _snapshot(world: World) -> Snapshot:
    selections = {name: _selected(pool) for name, pool in world.pools.items()}
    return compile_all(world, Pools(selections, dict.fromkeys(world.zones, 1)), 1)


def _milliseconds(work: Callable[[], object]) -> float:
    gc.disable()
    try:
        began = time.process_time()
        work()
        return 1e3 * (time.process_time() - began)
    finally:
        gc.enable()


# Queries


def _print_queries() -> None:
    query = dns.message.make_query("p.lb.example.org", "A", use_edns=0, payload=1232).to_wire()
    cases = {policy: _snapshot(_world([_pool("p", 8, policy)], ServiceType.ADDRESS)) for policy in _BOTH}
    rounds = [{policy: _one_round(query, cases[policy]) for policy in _BOTH} for _ in range(_ROUNDS + 1)][1:]
    say(f"CPU of `respond`, address service, 1 of 8 members, {len(_CLIENTS)} clients: ")
    table(("policy", "us"), [(policy, f"{median(found[policy] for found in rounds):.2f}") for policy in _BOTH])
    added = median(found[Policy.SOURCE_HASH] - found[Policy.WEIGHTED] for found in rounds)
    figure("added to a query by source-hash", added, _LIMIT, "us")


def _one_round(query: bytes, snapshot: Snapshot) -> float:
    """Return the microseconds of CPU per query."""
    turns, clients = Turns(0), list(islice(cycle(_CLIENTS), _QUERIES))

    def ask_all() -> None:
        for client in clients:
            respond(query, snapshot, turns, client)

    return 1e3 * _milliseconds(ask_all) / _QUERIES


# Changes


def _print_flips() -> None:
    say(f"\nA member of a pool goes down: compiled in (median of {_FLIPS}), and sent to each worker:")
    rows = []
    for kind, number in _SHAPES:
        flips = [_flipped(kind, number, policy) for policy in _BOTH]
        figures = [text for flip in flips for text in (f"{flip.milliseconds:.2f} ms", f"{flip.octets / 1000:.1f} kB")]
        rows.append((f"{'ranked MX' if kind is ServiceType.MX else 'address'}, {number} members", *figures))
    table(("service", *(head for policy in _BOTH for head in (policy, ""))), rows)


def _flipped(kind: ServiceType, number: int, policy: Policy) -> Flip:
    pool = _pool("p", number, policy)
    world = _world([pool], kind)
    _snapshot(world)
    # Other weights each time: nothing is known from the time before.
    flips = [_pools_after(pool, 997 + turn, f"mx{turn % number + 1}") for turn in range(_FLIPS)]
    owners = world.dependents[pool.name]
    took = [_milliseconds(partial(compile_names, world, owners, pools)) for pools in flips]
    change = Change(2, compile_names(world, owners, flips[0]), {})
    return Flip(median(took), len(channel.encode(change)))


def _pools_after(pool: Pool, weight: int, down: str) -> Pools:
    members = tuple(replace(member, weight=weight) for member in pool.members)
    return Pools({pool.name: _selected(replace(pool, members=members), down)}, {_APEX: 1})


def _print_table() -> None:
    say(f"\nThe whole table of {_POOLS} pools of 4 members, for each worker:")
    rows = []
    for kind in (ServiceType.ADDRESS, ServiceType.MX):
        for policy in _BOTH:
            world = _world([_pool(f"p{third}", 4, policy, third) for third in range(_POOLS)], kind)
            took = median(_milliseconds(partial(_snapshot, world)) for _ in range(5))
            octets = len(channel.encode(_snapshot(world)))
            rows.append((f"{kind}, {policy}", f"{took:.0f} ms", f"{octets / 1e6:.2f} MB"))
    table(("services", "compiled in", "size"), rows)


def _print_shares() -> None:
    say(f"\nHow far the parts of the {BUCKETS:,} buckets of networks are from the weights, in points, 1 member each:")
    rows = [(":".join(map(str, weights)), f"{100 * _error(weights):.2f}") for weights in _WEIGHTS]
    table(("weights", "largest error"), rows)


def _error(weights: Sequence[int]) -> float:
    shares = source_shares([f"mx{number}" for number, _ in enumerate(weights, 1)], weights, 1)
    return max(abs(float(share) - weight / sum(weights)) for share, weight in zip(shares, weights, strict=True))
