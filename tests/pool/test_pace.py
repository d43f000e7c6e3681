"""What members are compared with, and what that leaves them."""

from dataclasses import replace

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State
from dnslb.pool.member import Policy, Pool
from dnslb.pool.pace import pace_of, weighed
from dnslb.pool.portion import WHOLE, Pace, Portion
from dnslb.pool.selection import Candidate
from tests.conftest import member, pool


def greets(name: str, ms: float | None, state: AdminState = AdminState.READY, tier: int = 1) -> Candidate:
    """Return a member that is up and greets after so many milliseconds."""
    return Candidate(member(name, tier=tier), Admin(state), Health(State.UP, smoothed_ms=ms))


def by_latency(*candidates: Candidate) -> Pool:
    """Return their pool."""
    return replace(pool(*(each.member for each in candidates)), policy=Policy.LATENCY)


def test_rivals_are_ready_and_in_no_worse_tier() -> None:
    """The median is of all, as who is slow is so beside anybody."""
    members = [greets("a", 40.0, AdminState.DRAIN), greets("b", 80.0), greets("c", 60.0, tier=2), greets("d", 120.0)]
    assert pace_of(by_latency(*members), members, 1) == Pace(60.0, 80.0)
    assert pace_of(by_latency(*members), members, 2) == Pace(60.0, 60.0)
    assert pace_of(replace(by_latency(*members), policy=Policy.WEIGHTED), members, 1) == Pace(60.0)


def test_who_leaves_makes_the_others_faster() -> None:
    """Also by less than what a probe would change, and in the words."""
    fast, slow = greets("a", 40.0, AdminState.DRAIN), greets("c", 85.0)
    said = Portion(95, "it greets after 84 ms, the fastest after 40 ms", outrun=True)
    members = [fast, replace(greets("b", 80.0), portion=said), replace(slow, portion=replace(said, percent=85))]
    portions = [each.portion for each in weighed(by_latency(*members), members, 0.0, anew=True)]
    assert portions[1:] == [WHOLE, WHOLE]
    kept = [each.portion for each in weighed(by_latency(*members), members, 0.0, anew=False)]
    assert kept[2].percent == 85
