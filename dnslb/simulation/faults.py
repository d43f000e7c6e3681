"""When a member is down, and when the answers know it: the daemon's own rules, over probes that find what is true."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from dnslb.pool.admin import Admin
from dnslb.pool.health import Effect, Health, ProbeResult, State, Verdict, next_probe, observe
from dnslb.pool.outlook import coarse, next_change
from dnslb.pool.portion import UNPACED, next_step_in, portion_of
from dnslb.pool.selection import Candidate, Selection, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dnslb.pool.health import Thresholds
    from dnslb.pool.member import Member, Pool

_UP = Effect(State.UP)
_DOWN = Effect(State.DOWN)
_TICK = 1.0
"""In seconds: so often the daemon looks which changes have come nearer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A member that refuses connections from `begin` to `end`, in seconds of the run."""

    member: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of the run in which nothing changes: from `begin` on, answers, TTLs and the members that refuse."""

    begin: float
    selection: Selection
    refusing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the daemon goes by: the pool, its probe's thresholds, and what TTLs can be (see dnslb.pool.outlook)."""

    pool: Pool
    thresholds: Thresholds
    steps: Sequence[int] = ()


def epochs_of(rules: Rules, faults: Sequence[Fault], duration: float) -> tuple[Epoch, ...]:
    """Return the epochs of a run of so many seconds, the first of which begins at 0 with all members up."""
    stories = {
        member.name: list(_story(member, [f for f in faults if f.member == member.name], rules, duration))
        for member in rules.pool.members
    }
    moments = {0.0, *(moment for story in stories.values() for moment, _ in story)}
    moments |= {edge for fault in faults for edge in (fault.begin, fault.end) if 0 < edge < duration}
    return tuple(_epochs(rules.pool, stories, faults, sorted(moments)))


def _epochs(
    pool: Pool, stories: dict[str, list[tuple[float, Candidate]]], faults: Sequence[Fault], moments: Iterable[float]
) -> Iterator[Epoch]:
    last_good: frozenset[str] = frozenset()
    for now in moments:
        candidates = [next(said for since, said in reversed(story) if since <= now) for story in stories.values()]
        selection = select(pool, candidates, last_good)
        if not selection.panic:
            last_good = frozenset(choice.member.name for choice in selection.published)
        yield Epoch(now, selection, frozenset(fault.member for fault in faults if fault.begin <= now < fault.end))


def _story(member: Member, faults: Sequence[Fault], rules: Rules, duration: float) -> Iterator[tuple[float, Candidate]]:
    """Yield what is said of a member, and from when on. It was up before the run began."""
    thresholds, slow_start = rules.thresholds, rules.pool.slow_start
    said = Candidate(member, Admin(), Health(State.UP, Verdict.OK))
    yield 0.0, said
    health, portion = said.health, said.portion
    # A fault comes halfway between two probes, on average.
    now = probe_at = min((fault.begin for fault in faults), default=duration) + thresholds.interval / 2
    while now < duration:
        if now >= probe_at:
            health = observe(health, _found(faults, now), thresholds)
            probe_at = now + next_probe(health, thresholds).delay
        portion = portion_of(health, UNPACED, slow_start, now, portion)
        outlook = coarse(next_change(health, thresholds, slow_start, None, now), rules.steps)
        if (health.state, portion, outlook) != (said.health.state, said.portion, said.outlook):
            said = Candidate(member, Admin(), health, portion, outlook)
            yield now, said
        now = min(probe_at, _next_look(health, rules, now))


def _next_look(health: Health, rules: Rules, now: float) -> float:
    """Return when time alone changes what is said of a member, and be it its TTL."""
    step = next_step_in(health, rules.pool.slow_start, now)
    if step is None:
        return inf
    look = now + max(step, rules.thresholds.interval / 100)
    return min(look, now + _TICK) if rules.steps else look


def _found(faults: Iterable[Fault], now: float) -> ProbeResult:
    if any(fault.begin <= now < fault.end for fault in faults):
        return ProbeResult(Verdict.REFUSED, "", _DOWN, None, 0.0, now)
    return ProbeResult(Verdict.OK, "", _UP, None, 0.0, now)
