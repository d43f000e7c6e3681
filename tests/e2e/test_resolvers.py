"""Resolvers of unequal size: each keeps its worker, and goes round the answers by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e import unequal
from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.resolvers import Resolver

_UNCACHED = "single.lb.test"
_LOOKUPS = 6


def _workers_of(daemon: Daemon, resolver: Resolver) -> set[int]:
    """Return the places of the workers that a resolver's queries come to; it sends each from another port."""
    before = unequal.queries(daemon)
    for _ in range(_LOOKUPS):
        resolver.ask(_UNCACHED, "A")
    added = [after - known for after, known in zip(unequal.queries(daemon), before, strict=True)]
    assert sum(added) >= _LOOKUPS
    return {place for place, number in enumerate(added) if number}


def test_shares_hold_behind_a_few_resolvers_of_unequal_size(stage: Stage, members: Members) -> None:
    """Five unbounds, one with 40 % of the lookups, ask two workers ten times for each of 16 names.

    The error of the shares is on average less than three quarters of what random draws have with such a load.
    """
    daemon = Daemon(stage, members, weights=unequal.WEIGHTS)
    behind = unequal.start(stage, daemon)
    daemon.wait_published(*unequal.WEIGHTS)
    assert daemon.status()["steering"] == "source"
    workers = [_workers_of(daemon, resolver) for resolver in behind.values()]
    assert [len(places) for places in workers] == [1] * len(behind)
    assert set.union(*workers) == {0, 1}

    load = unequal.look_up(daemon, members, behind)
    assert load.lookups > 2 * load.turns * len(behind) * len(unequal.NAMES), "the resolvers cache"
    foretold = unequal.simulated(daemon, load, "--compare")
    assert load.error < foretold["compare"]["gdnsd weighted"]["largest_error"] * unequal.BOUND, (load, foretold)
