"""How near the next change of a pool's answers is: what a TTL with room in it goes by.

An answer that is kept beyond a change sends mail where it should go no more. These changes are seen coming:

    fails        something worse is said of a member at work: the pace of the confirming probes x those still needed
    returns      a member that is out answers well: the probes' interval x the successes still needed
    slow start   the seconds to its next step
    busy         the seconds until that counts as leaving
    leaves       the seconds until a drain that an operator has announced

The nearest one of all members counts. gdnsd has the same rule for the first two. Unlike there, a member that is down
and silent shortens nothing: nobody knows when it returns, and its return hurts nobody who comes late. And a member that
is well shortens nothing: no death is seen coming, so there the longest TTL is a choice, and no forecast.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from dnslb.pool.health import AT_WORK, Health, State, Thresholds, confirmed_in, draining_in
from dnslb.pool.portion import next_step_in


@dataclass(frozen=True, slots=True)
class Outlook:
    """A change of one member that is near: in so many seconds (never negative), and why, a phrase behind its name."""

    seconds: float
    why: str


_seconds = attrgetter("seconds")


def next_change(
    health: Health, thresholds: Thresholds, slow_start: float, leaves_at: float | None, now: float
) -> Outlook | None:
    """Return the nearest change of a member that is seen coming, None if there is none.

    `slow_start` is its pool's ramp in seconds, `leaves_at` the Unix time of an announced drain, `now` Unix time.
    """
    return min(_changes(health, thresholds, slow_start, leaves_at, now), key=_seconds, default=None)


def _changes(
    health: Health, thresholds: Thresholds, slow_start: float, leaves_at: float | None, now: float
) -> Iterator[Outlook]:
    if leaves_at is not None:
        yield Outlook(max(0.0, leaves_at - now), "is about to be drained")
    if health.state not in AT_WORK:
        if 0 < health.successes < thresholds.rise:
            yield Outlook(thresholds.interval * (thresholds.rise - health.successes), "answers well again")
        return
    confirmed = confirmed_in(health, thresholds)
    if confirmed is not None:
        is_held = health.argued is State.DOWN and health.failures >= thresholds.fall
        yield Outlook(confirmed, "fails, and its fall is held" if is_held else "fails, and is being confirmed")
    draining = draining_in(health, now)
    if draining is not None:
        yield Outlook(draining, "is busy, and leaves if that lasts")
    step = next_step_in(health, slow_start, now)
    if step is not None:
        yield Outlook(step, "gets its weight back by steps")


def staircase(least: int, most: int) -> tuple[int, ...]:
    """Return the TTLs between two, longest first: each half of the one before, in whole seconds, and the least."""
    steps = []
    while most > least:
        steps.append(most)
        most //= 2
    return (*steps, least)


def step_at(steps: Sequence[int], seconds: float | None) -> int:
    """Return the longest TTL that ends before the change, or the least there is; `seconds` None is no change ahead.

    So no answer outlives a change by more than the least TTL.
    """
    if seconds is None:
        return steps[0]
    return next((step for step in steps if step <= seconds), steps[-1])


def coarse(outlook: Outlook | None, steps: Sequence[int]) -> Outlook | None:
    """Return an outlook that is another only where a TTL of the `steps` (longest first) is, None without effect.

    Without steps no TTL has room in it, and nothing that is foreseen matters.
    """
    if outlook is None or not steps or outlook.seconds >= steps[0]:
        return None
    return Outlook(step_at(steps, outlook.seconds), outlook.why)


def merged(staircases: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Return the steps of all of them, longest first; one that has a single step has no room and adds none."""
    return tuple(sorted({step for steps in staircases if len(steps) > 1 for step in steps}, reverse=True))
