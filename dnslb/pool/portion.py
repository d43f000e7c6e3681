"""How much of its weight a member is published with, and why not all of it.

Four things take some away, and the one that takes most decides: what its last verdict says (busy, broken TLS), a slow
start after a return, greetings that come much later than those of the pool's other members, and with the policy
`latency` greetings that come later than the fastest. Senders choose anew for each connection, so a member that is twice
as slow holds them twice as long: without less weight it would not get less.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from dnslb.pool.health import AT_WORK, Health


@dataclass(frozen=True, slots=True)
class Portion:
    """The part of its weight, in percent (1..100), that a member counts with.

    `why` is a phrase for people, "" when it is all or follows from the member's state. `slow` says that the member is
    being spared because it greets so much later than the others of its pool, `outrun` that it is well, and the policy
    `latency` gives more to faster ones.
    """

    percent: int = 100
    why: str = ""
    slow: bool = False
    outrun: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a pool's members greet, in milliseconds.

    `median_ms` (see `median_of`) is None where there is nothing to compare with, `fastest_ms` (see `fastest_of`) also
    where the policy does not go by latency.
    """

    median_ms: float | None = None
    fastest_ms: float | None = None


UNPACED = Pace()
WHOLE = Portion()
LEAST = Portion(10)
"""Nobody who is published counts with less."""

_SLOW_START = "slow start"
_STEP = 10
_LAST_STEP = (WHOLE.percent - LEAST.percent) // _STEP
_DEAD_BAND = 10
"""A member's weight follows its greetings by so many points at least: answers should not change each probe."""
_FAST_ENOUGH_MS = 500.0
_TOLERATED_RATIO = 2.0
_NOISE_MS = 10.0
"""Greetings within this time differ by chance, and by how far away the prober stands."""
_LEAST_BY_LATENCY = 25
"""A greeting says little of how much a server can take: who greets ten times later can still take a quarter."""

_percent = attrgetter("percent")


def portion_of(health: Health, pace: Pace, slow_start: float, now: float, before: Portion) -> Portion:
    """Return the part of its weight that a member has earned.

    `pace` and `slow_start`, a ramp in seconds, are the pool's, `now` is Unix time, `before` what was returned for this
    member last. The ramp rests while something worse is said of the member, and then goes on where the clock is.
    Members that are not at work keep all of their weight: if they are published at all, nothing better is left.
    """
    if health.state not in AT_WORK:
        return WHOLE
    return min(
        Portion(health.percent),
        _ramped(health, slow_start, now, before),
        _slowed(health, pace.median_ms, before),
        _outrun(health, pace.fastest_ms, before),
        key=_percent,
    )


def afresh(portion: Portion) -> Portion:
    """Return what a member is to be weighed from where those beside it have changed: a slow start, but no greetings."""
    return WHOLE if portion.slow or portion.outrun else portion


def next_step_in(health: Health, slow_start: float, now: float) -> float | None:
    """Return the seconds until a slow start takes its next step if the member stays well, None if none is under way."""
    step = _step(health, slow_start, now)
    if step >= _LAST_STEP or health.returned_at is None:
        return None
    return max(0.0, health.returned_at + slow_start * (step + 1) / _LAST_STEP - now)


def median_of(healths: Iterable[Health]) -> float | None:
    """Return the lower median of the smoothed greetings of members at work, None if fewer than two have any."""
    known = sorted(_greetings(healths))
    return known[(len(known) - 1) // 2] if len(known) > 1 else None


def fastest_of(healths: Iterable[Health]) -> float | None:
    """Return the least smoothed greeting of members at work, None if none has any."""
    return min(_greetings(healths), default=None)


def _greetings(healths: Iterable[Health]) -> Iterator[float]:
    for health in healths:
        if health.state in AT_WORK and health.smoothed_ms is not None:
            yield health.smoothed_ms


def _ramped(health: Health, slow_start: float, now: float, before: Portion) -> Portion:
    step = _step(health, slow_start, now)
    due = WHOLE if step >= _LAST_STEP else Portion(LEAST.percent + _STEP * step, _SLOW_START)
    # A member that is about to fall again should not be given more of the mail meanwhile.
    resting = health.wavers and before.why == _SLOW_START
    return min(before, due, key=_percent) if resting else due


def _step(health: Health, slow_start: float, now: float) -> int:
    """Return how many steps of the ramp have been taken."""
    if health.returned_at is None or slow_start <= 0:
        return _LAST_STEP
    # A clock that was set back starts the ramp anew, at worst.
    age = max(0.0, now - health.returned_at)
    return min(int(age * _LAST_STEP / slow_start), _LAST_STEP)


def _slowed(health: Health, median_ms: float | None, before: Portion) -> Portion:
    if median_ms is None or health.smoothed_ms is None:
        return WHOLE
    target = max(_FAST_ENOUGH_MS, _TOLERATED_RATIO * median_ms)
    if health.smoothed_ms <= target:
        return WHOLE
    percent = max(LEAST.percent, int(100 * target / health.smoothed_ms))
    held = before if before.slow else WHOLE
    if abs(percent - held.percent) < _DEAD_BAND:
        return held
    why = f"it greets after {health.smoothed_ms:.0f} ms, where {median_ms:.0f} ms is usual in its pool"
    return Portion(percent, why, slow=True)


def _outrun(health: Health, fastest_ms: float | None, before: Portion) -> Portion:
    if fastest_ms is None or health.smoothed_ms is None:
        return WHOLE
    fastest = max(fastest_ms, _NOISE_MS)
    if health.smoothed_ms <= fastest:
        return WHOLE
    percent = max(_LEAST_BY_LATENCY, int(100 * fastest / health.smoothed_ms))
    held = before if before.outrun else WHOLE
    if abs(percent - held.percent) < _DEAD_BAND:
        return held
    best = f"after {fastest:.0f} ms" if fastest > _NOISE_MS else f"within {fastest:.0f} ms"
    return Portion(percent, f"it greets after {health.smoothed_ms:.0f} ms, the fastest {best}", outrun=True)
