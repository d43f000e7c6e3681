"""The part of its weight that a member counts with."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import AT_WORK, Health, State
from dnslb.pool.portion import UNPACED, WHOLE, Pace, Portion, fastest_of, median_of, next_step_in, portion_of

_UP = Health(State.UP)
_RETURNED = Health(State.UP, returned_at=1000.0)


def _slow(smoothed_ms: float, median_ms: float | None = 300.0, before: Portion = WHOLE) -> Portion:
    return portion_of(replace(_UP, smoothed_ms=smoothed_ms), Pace(median_ms), 0.0, 0.0, before)


@pytest.mark.parametrize("state", State)
def test_what_the_verdict_leaves_counts_for_members_at_work(state: State) -> None:
    """A busy member keeps what its effect says; one that is out keeps all, for it is published as a last resort."""
    expected = Portion(10) if state in AT_WORK else WHOLE
    assert portion_of(Health(state, percent=10), UNPACED, 0.0, 0.0, WHOLE) == expected


@pytest.mark.parametrize(
    ("age", "percent"),
    [(-50, 10), (0, 10), (9.9, 10), (10, 20), (19.9, 20), (45, 50), (80, 90), (89.9, 90), (90, 100), (1e9, 100)],
)
def test_slow_start_takes_nine_even_steps(age: float, percent: int) -> None:
    """From 10 % at the return to all of it when `slow_start` is over; a clock that was set back begins anew."""
    portion = portion_of(_RETURNED, UNPACED, 90.0, 1000.0 + age, WHOLE)
    assert portion == (WHOLE if percent == 100 else Portion(percent, "slow start"))


def test_there_is_no_slow_start_without_a_return() -> None:
    """Nor where the pool wants none."""
    assert portion_of(_UP, UNPACED, 90.0, 1000.0, WHOLE) == WHOLE
    assert portion_of(_RETURNED, UNPACED, 0.0, 1000.0, WHOLE) == WHOLE
    assert (next_step_in(_UP, 90.0, 1000.0), next_step_in(_RETURNED, 0.0, 1000.0)) == (None, None)


@pytest.mark.parametrize(("age", "seconds"), [(0, 10), (4, 6), (10, 10), (85, 5), (90, None), (1000, None)])
def test_when_to_look_again(age: float, seconds: float | None) -> None:
    """The next step is known in advance, and after the last one there is none."""
    assert next_step_in(_RETURNED, 90.0, 1000.0 + age) == seconds


def test_the_ramp_rests_while_the_member_wavers() -> None:
    """Failures that are being confirmed hold the step, the last one too; once it is well it is where the clock is."""
    failing = replace(_RETURNED, failures=1, argued=State.DOWN)
    step = Portion(40, "slow start")
    assert portion_of(failing, UNPACED, 90.0, 1080.0, step) == step
    assert portion_of(failing, UNPACED, 90.0, 1090.0, step) == step
    assert portion_of(replace(failing, failures=0), UNPACED, 90.0, 1080.0, step) == Portion(90, "slow start")
    assert portion_of(replace(failing, failures=0), UNPACED, 90.0, 1090.0, step) == WHOLE


def test_only_the_ramp_rests() -> None:
    """A weight that something else took is not held, and a ramp that is not known from before is where the clock is."""
    failing = replace(_RETURNED, failures=1, argued=State.DOWN)
    assert portion_of(failing, UNPACED, 90.0, 1090.0, Portion(50, "it greets late", slow=True)) == WHOLE
    assert portion_of(failing, UNPACED, 90.0, 1030.0, WHOLE) == Portion(40, "slow start")


@given(st.floats(0, 200), st.floats(1, 600))
def test_a_step_comes_when_it_was_announced(age: float, slow_start: float) -> None:
    """Just after the announced time the portion is larger, and until just before it is the same."""
    now = 1000.0 + age
    wait = next_step_in(_RETURNED, slow_start, now)
    portion = portion_of(_RETURNED, UNPACED, slow_start, now, WHOLE)
    if wait is None:
        assert portion == WHOLE
    else:
        assert portion_of(_RETURNED, UNPACED, slow_start, now + wait + 1e-6, WHOLE).percent > portion.percent
        before = max(now, now + wait - 1e-6)
        assert portion_of(_RETURNED, UNPACED, slow_start, before, WHOLE) == portion


@pytest.mark.parametrize(
    ("smoothed", "median", "percent"),
    [
        (600, 300, 100),  # twice the median is tolerated
        (640, 300, 100),  # 93 %: not worth a change
        (667, 300, 89),
        (1200, 300, 50),
        (60_000, 300, 10),
        (400, 10, 100),  # nobody is slow who greets within half a second
        (1000, 10, 50),
        (9000, None, 100),  # nothing to compare with
    ],
)
def test_slow_members_get_less(smoothed: float, median: float | None, percent: int) -> None:
    """As much less as their greeting takes longer than twice the pool's median, and 10 % at least."""
    portion = _slow(smoothed, median)
    assert (portion.percent, portion.slow, bool(portion.why)) == (percent, percent < 100, percent < 100)


def test_a_slow_member_is_followed_in_leaps() -> None:
    """Within 10 points nothing changes, not even the sentence; all of it is back once the member is fast enough."""
    portion = _slow(1200)
    assert portion == Portion(50, "it greets after 1200 ms, where 300 ms is usual in its pool", slow=True)
    assert _slow(1010, before=portion) == _slow(1450, before=portion) == portion
    assert _slow(1000, before=portion).percent == 60
    assert _slow(1550, before=portion).percent == 38
    assert _slow(601, before=replace(portion, percent=91)).percent == 91
    assert _slow(600, before=replace(portion, percent=91)) == WHOLE


def test_the_leaps_are_those_of_slowness_alone() -> None:
    """What was taken away for another reason does not hold a weight that is now decided by slowness."""
    assert _slow(1100, before=Portion(50, "slow start")).percent == 54


def test_a_member_without_a_greeting_is_not_slow() -> None:
    """A probe by bare connection measures none."""
    assert portion_of(_UP, Pace(300.0), 0.0, 0.0, WHOLE) == WHOLE


def test_what_takes_most_decides() -> None:
    """Busy, slow start and slowness do not add up; if they take the same, the state is reason enough."""
    health = Health(State.DEGRADED, percent=50, returned_at=1000.0, smoothed_ms=1000.0)
    found = [portion_of(health, Pace(300.0), 90.0, 1000.0 + age, WHOLE) for age in (0, 30, 40, 90)]
    assert found == [Portion(10, "slow start"), Portion(40, "slow start"), Portion(50), Portion(50)]
    slow = portion_of(replace(health, smoothed_ms=2000.0), Pace(300.0), 90.0, 1090.0, WHOLE)
    assert (slow.percent, slow.slow) == (30, True)


@pytest.mark.parametrize(
    ("latencies", "median"),
    [
        ([], None),
        ([5.0], None),
        ([5.0, 900.0], 5.0),  # of two the quicker one is what is usual
        ([900.0, 5.0, 7.0], 7.0),
        ([1.0, 2.0, 3.0, 4.0], 2.0),
        ([5.0, None], None),
        ([5.0, None, 6.0], 5.0),
    ],
)
def test_the_median_is_that_of_members_who_have_greeted(latencies: list[float | None], median: float | None) -> None:
    """The lower one of an even number; with fewer than two there is nothing to compare."""
    assert median_of(Health(State.UP, smoothed_ms=latency) for latency in latencies) == median


def test_only_members_at_work_have_a_say_in_the_median() -> None:
    """What the dead ones' greetings took once is no measure."""
    assert median_of(Health(state, smoothed_ms=5.0) for state in (State.UP, State.DOWN)) is None
    assert median_of(Health(state, smoothed_ms=5.0) for state in AT_WORK) == 5.0


# Policy latency


def _outrun(smoothed_ms: float | None, fastest_ms: float | None = 40.0, before: Portion = WHOLE) -> Portion:
    return portion_of(replace(_UP, smoothed_ms=smoothed_ms), Pace(None, fastest_ms), 0.0, 0.0, before)


@pytest.mark.parametrize(
    ("smoothed", "fastest", "percent"),
    [
        (40, 40, 100),
        (30, 40, 100),  # what is known of the fastest may be a second old
        (43, 40, 100),  # 93 %: not worth a change
        (45, 40, 88),
        (80, 40, 50),
        (160, 40, 25),
        (9000, 40, 25),  # a quarter at least
        (10, 0.2, 100),  # all within 10 ms are alike
        (20, 0.2, 50),
        (80, None, 100),  # another policy
        (None, 40, 100),  # nothing is known of it
    ],
)
def test_shares_by_latency(smoothed: float | None, fastest: float | None, percent: int) -> None:
    """As much of the weight as the fastest greeting is of one's own, and it is neither slow nor degraded."""
    portion = _outrun(smoothed, fastest)
    assert (portion.percent, portion.outrun, bool(portion.why)) == (percent, percent < 100, percent < 100)
    assert not portion.slow


def test_latency_is_told_in_numbers() -> None:
    """Of both, as they were when the weight changed."""
    assert _outrun(180).why == "it greets after 180 ms, the fastest after 40 ms"
    assert _outrun(60, 3).why == "it greets after 60 ms, the fastest within 10 ms"


@given(st.lists(st.floats(1, 500), min_size=2, max_size=50), st.floats(1, 500))
def test_latency_is_followed_in_leaps_of_ten_points(greetings: list[float], fastest: float) -> None:
    """It stays as it is, or changes by ten points at least; only who is the fastest has all of it again at once."""
    portion = WHOLE
    for greeting in greetings:
        after = _outrun(greeting, fastest, portion)
        assert after is portion or after == WHOLE or abs(after.percent - portion.percent) >= 10
        assert 25 <= after.percent <= 100
        exact = 100 * min(1.0, max(fastest, 10.0) / max(greeting, 10.0))
        assert abs(after.percent - max(exact, 25)) < 11
        portion = after


def test_a_slow_start_and_slowness_go_before_latency() -> None:
    """Who takes most decides, and what another reason took does not hold the weight."""
    returned = replace(_RETURNED, smoothed_ms=80.0)
    assert portion_of(returned, Pace(None, 40.0), 90.0, 1000.0, WHOLE).why == "slow start"
    assert portion_of(returned, Pace(None, 40.0), 90.0, 1060.0, Portion(60, "slow start")).percent == 50
    slow = portion_of(replace(_UP, smoothed_ms=9000.0), Pace(40.0, 40.0), 0.0, 0.0, Portion(25, "", outrun=True))
    assert (slow.percent, slow.slow, slow.outrun) == (10, True, False)


def test_the_fastest_is_a_member_at_work() -> None:
    """Even if it is the only one that has greeted."""
    healths = [Health(State.UP, smoothed_ms=7.0), Health(State.DOWN, smoothed_ms=1.0), Health(State.UP)]
    assert fastest_of(healths) == 7.0
    assert fastest_of(healths[1:]) is None
