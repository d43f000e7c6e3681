"""Which changes are seen coming, how soon, and what a TTL makes of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import Effect, Health, Patience, ProbeResult, State, Thresholds, Verdict, next_probe, observe
from dnslb.pool.outlook import Outlook, coarse, merged, next_change, staircase, step_at
from dnslb.probe.verdict import EFFECTS

_NOW = 1_000_000.0
_THRESHOLDS = Thresholds(rise=3, fall=3, interval=10.0)
_UP = Health(State.UP, Verdict.OK)


def _found(verdict: Verdict, at: float = _NOW) -> ProbeResult:
    return ProbeResult(verdict, "", EFFECTS[verdict], None, 0.1, at)


def _after(*verdicts: Verdict, health: Health = _UP, thresholds: Thresholds = _THRESHOLDS) -> Health:
    for verdict in verdicts:
        health = observe(health, _found(verdict), thresholds)
    return health


def _change(
    health: Health, *, slow_start: float = 0.0, leaves_at: float | None = None, thresholds: Thresholds = _THRESHOLDS
) -> Outlook | None:
    return next_change(health, thresholds, slow_start, leaves_at, _NOW)


@pytest.mark.parametrize("state", [State.UP, State.DEGRADED, State.BUSY, State.DRAINING, State.DOWN, State.UNKNOWN])
def test_a_member_that_stays_as_it_is_has_no_change_ahead(state: State) -> None:
    """One that is down and silent neither: nobody knows when it returns."""
    assert _change(Health(state)) is None


@pytest.mark.parametrize(("fall", "seconds"), [(2, 1), (3, 3), (10, 17)])
def test_a_failure_that_is_being_confirmed(fall: int, seconds: float) -> None:
    """The first of the probes that are still needed comes after 1 s, the others after 2 s each."""
    thresholds = replace(_THRESHOLDS, fall=fall)
    health = _after(Verdict.REFUSED, thresholds=thresholds)
    assert _change(health, thresholds=thresholds) == Outlook(seconds, "fails, and is being confirmed")


@given(st.integers(2, 8), st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_a_death_comes_when_it_was_announced(fall: int, interval: float) -> None:
    """What is told after the first failure is when the probes have taken the member down."""
    thresholds, now = Thresholds(2, fall, interval), _NOW
    health = observe(_UP, _found(Verdict.TIMEOUT, now), thresholds)
    told = next_change(health, thresholds, 0.0, None, now)
    while health.state is State.UP:
        now += next_probe(health, thresholds).delay
        health = observe(health, _found(Verdict.TIMEOUT, now), thresholds)
    assert told is not None
    assert told.seconds == pytest.approx(now - _NOW)


def test_a_good_probe_ends_the_doubt() -> None:
    """The next change is as far away as ever."""
    assert _change(_after(Verdict.REFUSED, Verdict.OK)) is None


def test_too_many_failures_in_a_while_need_fewer_probes() -> None:
    """After four failures that were no row, the fifth decides."""
    health = _after(Verdict.REFUSED, Verdict.REFUSED, Verdict.OK, Verdict.REFUSED)
    assert _change(health) == Outlook(3, "fails, and is being confirmed")
    assert _change(_after(Verdict.OK, Verdict.REFUSED, health=health)) == Outlook(1, "fails, and is being confirmed")


def test_what_argues_for_another_state_has_a_row_of_its_own() -> None:
    """Failures that nearly took the member down bring it no nearer to being degraded."""
    health = _after(*[Verdict.REFUSED, Verdict.REFUSED, Verdict.OK] * 2)
    degraded = replace(_found(Verdict.TLS_BROKEN), effect=Effect(State.DEGRADED, Patience.CONFIRM))
    assert _change(observe(health, degraded, _THRESHOLDS)) == Outlook(3, "fails, and is being confirmed")


def test_a_fall_that_is_held_may_come_with_the_next_probe() -> None:
    """The guard holds it for one round, in which the member is asked on."""
    health = replace(_after(Verdict.REFUSED, Verdict.REFUSED, Verdict.REFUSED), state=State.UP)
    assert _change(health) == Outlook(2, "fails, and its fall is held")


@pytest.mark.parametrize(("good", "seconds"), [(1, 20), (2, 10)])
@pytest.mark.parametrize("state", [State.DOWN, State.DRAINING])
def test_a_member_that_answers_well_again(state: State, good: int, seconds: float) -> None:
    """It is back after as many good probes as are still needed, one in each interval."""
    assert _change(_after(*[Verdict.OK] * good, health=Health(state))) == Outlook(seconds, "answers well again")


def test_a_slow_start_goes_by_its_next_step() -> None:
    """The ramp is known in advance; after its last step nothing is ahead."""
    health = replace(_UP, returned_at=_NOW - 12)
    assert _change(health, slow_start=90.0) == Outlook(8, "gets its weight back by steps")
    assert _change(replace(_UP, returned_at=_NOW - 90), slow_start=90.0) is None
    assert _change(health) is None


@pytest.mark.parametrize(("since", "seconds"), [(0, 60), (45, 15), (90, 0), (-5, 65)])
def test_a_busy_member_leaves_after_a_minute(since: float, seconds: float) -> None:
    """It may have time again before; it is never negative, and a clock that was set back only makes it later."""
    health = Health(State.BUSY, busy_since=_NOW - since)
    assert _change(health) == Outlook(seconds, "is busy, and leaves if that lasts")


def test_a_member_that_was_busy_and_is_something_else_does_not_leave_for_it() -> None:
    """What it is now counts."""
    assert _change(Health(State.DEGRADED, busy_since=_NOW - 45)) is None


@pytest.mark.parametrize(("ahead", "seconds"), [(3600, 3600), (1.5, 1.5), (-7, 0), (1e12, 1e12)])
@pytest.mark.parametrize("state", State)
def test_an_announced_drain_counts_down_whatever_the_health(state: State, ahead: float, seconds: float) -> None:
    """And is never negative, wherever the clock is set to."""
    assert _change(Health(state), leaves_at=_NOW + ahead) == Outlook(seconds, "is about to be drained")


def test_the_nearest_change_counts() -> None:
    """A member on its slow start that fails, and is to be drained, fails first."""
    health = replace(_after(Verdict.REFUSED), returned_at=_NOW - 1)
    near = _change(health, slow_start=90.0, leaves_at=_NOW + 30)
    assert near == Outlook(3, "fails, and is being confirmed")
    assert _change(health, slow_start=90.0, leaves_at=_NOW + 2) == Outlook(2, "is about to be drained")


@pytest.mark.parametrize(
    ("least", "most", "steps"),
    [
        (10, 120, (120, 60, 30, 15, 10)),
        (15, 120, (120, 60, 30, 15)),
        (1, 7, (7, 3, 1)),
        (30, 30, (30,)),
        (0, 0, (0,)),
    ],
)
def test_a_staircase_halves(least: int, most: int, steps: tuple[int, ...]) -> None:
    """Down to the least, which is its last step; without room there is only one."""
    assert staircase(least, most) == steps


@given(st.integers(0, 1000), st.integers(0, 100_000), st.floats(0, 200_000))
def test_no_answer_outlives_a_change_by_more_than_the_least(least: int, more: int, seconds: float) -> None:
    """The TTL is at most the time that is left, or the least one; and never less than half of what it could be."""
    ttl = step_at(staircase(least, least + more), seconds)
    assert least <= ttl <= max(seconds, least)
    assert 2 * ttl + 2 > min(seconds, least + more)


def test_without_a_change_ahead_the_ttl_is_the_longest() -> None:
    """Nothing that is kept would be wrong."""
    assert step_at((120, 60), None) == 120


def test_an_outlook_is_as_coarse_as_the_ttls_that_follow_it() -> None:
    """It is another one only at a step; further away than the longest TTL, or where no TTL has room, it is none."""
    steps = (120, 60, 30, 15, 10)
    found = [coarse(Outlook(seconds, "leaves"), steps) for seconds in (120, 119.9, 60, 59, 12, 10, 3, 0)]
    assert [each and each.seconds for each in found] == [None, 60, 60, 30, 10, 10, 10, 10]
    assert {each.why for each in found if each} == {"leaves"}
    assert coarse(None, steps) is None
    assert coarse(Outlook(3, "leaves"), ()) is None


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 1000)), max_size=4), st.floats(0, 2000))
def test_each_ttl_of_a_pool_follows_the_coarse_outlook_as_it_would_the_fine_one(
    bounds: list[tuple[int, int]], seconds: float
) -> None:
    """Services of one pool may have different staircases: together they miss no step of any."""
    staircases = [staircase(least, least + more) for least, more in bounds]
    outlook = coarse(Outlook(seconds, ""), merged(staircases))
    for steps in staircases:
        assert step_at(steps, None if outlook is None else outlook.seconds) == step_at(steps, seconds)


def test_fixed_ttls_have_no_steps() -> None:
    """Nothing can be near enough to change them."""
    assert merged([(30,), (5,)]) == ()
    assert merged([(30,), (8, 4), (6, 4)]) == (8, 6, 4)
