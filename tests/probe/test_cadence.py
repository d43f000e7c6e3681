"""Which aspects of a member are due: first, in rhythm, not reached, asked for, and after a refused login."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import Aspect, ProbeResult, Verdict
from dnslb.probe.cadence import DEEP_BURST, DEEP_RATE, DEEP_RESERVE, LATE, LOGIN_PAUSE, Allowance, Cadence
from dnslb.probe.verdict import EFFECTS

SESSION = frozenset({Aspect.SESSION})
ALL = frozenset(Aspect)
EVERY = {
    Aspect.SESSION: 10.0,
    Aspect.TLS: 60.0,
    Aspect.CERTIFICATE: 900.0,
    Aspect.RECIPIENT: 60.0,
}
LOGGING_IN = {**EVERY, Aspect.AUTH: 300.0}
"""The same with an account."""
MIDDLE = 0.5


def found(
    examined: frozenset[Aspect] = ALL, verdict: Verdict = Verdict.OK, aspect: Aspect = Aspect.SESSION
) -> ProbeResult:
    """Build the result of a probe that came to look at these aspects."""
    return ProbeResult(verdict, "", EFFECTS[verdict], 1.0, 0.1, 0.0, aspect, examined)


def login(verdict: Verdict) -> ProbeResult:
    """Build the result of a probe that tried to log in and got no further."""
    return found(ALL - {Aspect.RECIPIENT}, verdict, Aspect.AUTH)


def in_rhythm() -> Cadence:
    """Return the cadence of a member whose second deep probe began at 0, with no variation."""
    due = dict.fromkeys(ALL - SESSION, 0.0)
    return Cadence(due).after(LOGGING_IN, ALL, found(), 0.0, MIDDLE)


@given(st.floats(min_value=0, max_value=1e9))
def test_a_first_probe_examines_all(now: float) -> None:
    """A member of which nothing is known is looked at in every way that its recipe speaks of, and in no other."""
    assert Cadence().wanted(LOGGING_IN, now) == ALL
    assert Cadence().wanted({Aspect.SESSION: 10.0, Aspect.TLS: 60.0}, now) == {Aspect.SESSION, Aspect.TLS}


def test_each_aspect_comes_in_its_own_interval() -> None:
    """Between their times only the session is examined; an aspect comes with the probe that is nearest to its time."""
    cadence = in_rhythm()
    assert cadence.wanted(EVERY, 10.0) == SESSION
    assert cadence.wanted(EVERY, 54.0) == SESSION
    assert cadence.wanted(EVERY, 56.0) == SESSION | {Aspect.TLS, Aspect.RECIPIENT}
    assert cadence.wanted(EVERY, 900.0) == ALL - {Aspect.AUTH}
    assert in_rhythm().wanted(LOGGING_IN, 300.0) == ALL - {Aspect.CERTIFICATE}


def test_what_was_examined_is_due_after_its_interval_again() -> None:
    """An aspect that another one's probe examined in passing counts as examined, the others stay due."""
    cadence = in_rhythm().after(EVERY, ALL - {Aspect.AUTH}, found(SESSION | {Aspect.TLS}), 60.0, MIDDLE)
    assert cadence.wanted(EVERY, 100.0) == SESSION | {Aspect.RECIPIENT}
    assert cadence.wanted(EVERY, 116.0) == SESSION | {Aspect.TLS, Aspect.RECIPIENT}


def test_the_second_deep_probe_is_anywhere_in_the_interval() -> None:
    """Members that were all examined at the start do not all come again at the same time."""
    times = [Cadence().after(EVERY, ALL, found(), 0.0, draw).due[Aspect.TLS] for draw in (0.0, 0.5, 1.0)]
    assert times == [5.0, 25.0, 55.0]


@given(st.floats(min_value=0, max_value=1), st.floats(min_value=0.1, max_value=100))
def test_what_was_just_examined_is_not_due_with_a_confirming_probe(draw: float, interval: float) -> None:
    """Neither the first spread nor an interval shorter than the probes' own makes a confirming probe a deep one."""
    first = Cadence().after({**EVERY, Aspect.TLS: interval}, ALL, found(), 0.0, draw)
    assert first.wanted(EVERY, 3.0) == SESSION


def test_deep_probes_that_were_late_are_spread_again() -> None:
    """After a time in which nothing was reached, many members are examined at once; that does not become a habit."""
    cadence = Cadence({Aspect.TLS: 0.0})
    late = [cadence.after(EVERY, ALL, found(), 1000.0, draw).due[Aspect.TLS] for draw in (0.0, 1.0)]
    assert late == [1005.0, 1055.0]


@given(st.floats(min_value=0, max_value=1))
def test_the_rhythm_varies_a_little(draw: float) -> None:
    """A regular interval is kept to a tenth, and not drawn anew as a whole."""
    due = Cadence({Aspect.TLS: 0.0}).after(EVERY, ALL, found(), 0.0, draw).due[Aspect.TLS]
    assert due == pytest.approx(60.0 - 5.0, abs=6.0 + 1e-9)
    assert (due < 55.0) == (draw < MIDDLE) or draw == pytest.approx(MIDDLE)


def test_what_was_not_reached_stays_due_in_the_probes_own_pace() -> None:
    """A conversation that ends early is followed by confirming ones that do not go deep; the next regular one does."""
    cadence = in_rhythm().after(EVERY, ALL - {Aspect.AUTH}, found(SESSION), 60.0, MIDDLE)
    assert cadence.wanted(EVERY, 61.0) == SESSION
    assert cadence.wanted(EVERY, 63.0) == SESSION
    assert cadence.wanted(EVERY, 69.5) == SESSION | {Aspect.TLS, Aspect.RECIPIENT}


def test_a_shallow_probe_does_not_lift_the_pause() -> None:
    """A confirming probe that reached all that it had to reach does not bring the deep ones forward."""
    cadence = in_rhythm().after(EVERY, ALL - {Aspect.AUTH}, found(SESSION), 60.0, MIDDLE)
    assert cadence.after(EVERY, SESSION, found(SESSION), 61.0, MIDDLE).wanted(EVERY, 63.0) == SESSION


def test_what_is_asked_for_is_examined_before_its_time() -> None:
    """What has failed is looked at in the confirming probe, if the recipe speaks of it, and once for one asking."""
    cadence = Cadence(in_rhythm().due, asked=frozenset({Aspect.RECIPIENT}))
    assert cadence.wanted(EVERY, 1.0) == SESSION | {Aspect.RECIPIENT}
    assert cadence.wanted({Aspect.SESSION: 10.0}, 1.0) == SESSION
    assert isinstance(cadence.wanted(EVERY, 1.0), frozenset)
    assert cadence.after(EVERY, SESSION, found(SESSION), 1.0, MIDDLE).wanted(EVERY, 2.0) == SESSION


def test_a_login_that_is_asked_for_is_made() -> None:
    """As any other aspect, if the recipe has an account, unless one was refused before."""
    cadence = Cadence(in_rhythm().due, asked=frozenset({Aspect.AUTH}))
    assert cadence.wanted(LOGGING_IN, 1.0) == SESSION | {Aspect.AUTH}
    assert cadence.wanted(EVERY, 1.0) == SESSION
    assert replace(cadence, no_login_before=2.0).wanted(LOGGING_IN, 1.0) == SESSION


def test_the_way_to_the_recipient_is_a_login() -> None:
    """With an account, a recipient that is due waits for the login; one that is in trouble does not."""
    waiting = Cadence({Aspect.TLS: 100.0, Aspect.CERTIFICATE: 100.0, Aspect.RECIPIENT: 0.0, Aspect.AUTH: 20.0})
    assert waiting.wanted(LOGGING_IN, 10.0) == SESSION
    assert waiting.wanted(LOGGING_IN, 20.0) == SESSION | {Aspect.AUTH, Aspect.RECIPIENT}
    troubled = Cadence(in_rhythm().due, asked=frozenset({Aspect.RECIPIENT}))
    assert troubled.wanted(LOGGING_IN, 1.0) == SESSION | {Aspect.AUTH, Aspect.RECIPIENT}


@given(st.floats(min_value=300, max_value=300 + LOGIN_PAUSE, exclude_max=True))
def test_after_a_refused_login_there_is_none_for_an_hour(now: float) -> None:
    """Neither its interval, nor good probes in between, nor a recipient in trouble bring the next login forward."""
    cadence = in_rhythm().after(LOGGING_IN, ALL, login(Verdict.AUTH_FAILED), 300.0, MIDDLE)
    cadence = replace(cadence.after(LOGGING_IN, SESSION, found(SESSION), 310.0, MIDDLE), asked=ALL)
    assert Aspect.AUTH not in cadence.wanted(LOGGING_IN, now)
    assert Aspect.RECIPIENT not in cadence.wanted(LOGGING_IN, now)
    assert Aspect.AUTH in cadence.wanted(LOGGING_IN, 300.0 + LOGIN_PAUSE)


def test_a_longer_interval_than_the_pause_is_kept() -> None:
    """Who logs in once a day does so after a refused login too."""
    daily = {**EVERY, Aspect.AUTH: 86400.0}
    cadence = Cadence({Aspect.AUTH: 0.0}).after(daily, ALL, login(Verdict.AUTH_FAILED), 0.0, MIDDLE)
    assert Aspect.AUTH not in cadence.wanted(daily, 2 * LOGIN_PAUSE)


def test_a_login_that_could_not_be_tried_stays_due() -> None:
    """A server that does not offer AUTH has refused none: the next regular probe sees whether it does by then."""
    there = ALL - {Aspect.AUTH, Aspect.RECIPIENT}
    cadence = in_rhythm().after(LOGGING_IN, ALL, found(there, Verdict.AUTH_FAILED, Aspect.AUTH), 300.0, MIDDLE)
    assert cadence.wanted(LOGGING_IN, 302.0) == SESSION
    assert cadence.wanted(LOGGING_IN, 310.0) == SESSION | {Aspect.AUTH, Aspect.RECIPIENT}


def test_a_login_that_failed_for_now_comes_at_its_own_interval() -> None:
    """Also where a recipient is in trouble, the way to which is a login; after a good one it is tried each time."""
    cadence = in_rhythm().after(LOGGING_IN, ALL, login(Verdict.REJECTING), 300.0, MIDDLE)
    cadence = cadence.after(LOGGING_IN, SESSION, found(SESSION), 310.0, MIDDLE)
    troubled = replace(cadence, asked=frozenset({Aspect.RECIPIENT}))
    assert troubled.wanted(LOGGING_IN, 320.0) == SESSION
    assert troubled.wanted(LOGGING_IN, 600.0) >= SESSION | {Aspect.AUTH, Aspect.RECIPIENT}
    good = troubled.after(LOGGING_IN, ALL, found(ALL, Verdict.REJECTS_DOMAIN, Aspect.RECIPIENT), 600.0, MIDDLE)
    again = replace(good, asked=frozenset({Aspect.RECIPIENT}))
    assert again.wanted(LOGGING_IN, 601.0) == SESSION | {Aspect.AUTH, Aspect.RECIPIENT}


def spent(allowance: Allowance, now: float, *, asked: bool) -> int:
    """Count how many probes go deep at one moment."""
    count = 0
    while (left := allowance.spend(now, 0.0, asked=asked)) is not None:
        allowance, count = left, count + 1
    return count


def test_not_all_members_go_deep_at_once() -> None:
    """Of many that are due in one moment some go deep, and what was asked for still does after them."""
    assert spent(Allowance(), 0.0, asked=False) == DEEP_BURST - DEEP_RESERVE
    assert spent(Allowance(DEEP_RESERVE, 0.0), 0.0, asked=False) == 0
    assert spent(Allowance(DEEP_RESERVE, 0.0), 0.0, asked=True) == DEEP_RESERVE


def test_the_others_follow_at_a_steady_rate() -> None:
    """After a second so many more go deep, and after a long time no more than at first."""
    assert spent(Allowance(DEEP_RESERVE, 0.0), 1.0, asked=False) == DEEP_RATE
    assert spent(Allowance(0.0, 0.0), 1e6, asked=True) == DEEP_BURST


def test_who_is_late_does_not_go_deep() -> None:
    """When this process cannot keep its own times, it looks only as deep as it was asked to."""
    assert Allowance().spend(0.0, LATE, asked=False) is not None
    assert Allowance().spend(0.0, 2 * LATE, asked=False) is None
    assert Allowance().spend(0.0, 2 * LATE, asked=True) is not None
