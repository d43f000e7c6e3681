"""From probe results to a member's state, and when to probe next."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.health import (
    AT_WORK,
    Aspect,
    Effect,
    Fault,
    Health,
    NextProbe,
    Patience,
    ProbeResult,
    State,
    Thresholds,
    Verdict,
    narrowed,
    next_probe,
    observe,
)
from dnslb.probe.verdict import EFFECTS, TOLERATED

_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)

_OF_MARK = {
    ".": Verdict.OK,
    "s": Verdict.SLOW,
    "x": Verdict.REFUSED,
    "r": Verdict.REJECTING,
    "b": Verdict.BUSY,
    "d": Verdict.DRAINING,
    "g": Verdict.TLS_BROKEN,
    "a": Verdict.AUTH_FAILED,
    "?": Verdict.UNKNOWN,
    "l": Verdict.PROBE_LIMITED,
    "k": Verdict.PROBE_BLOCKED,
}
_OF_LETTER = {
    "-": State.UNKNOWN,
    "U": State.UP,
    "G": State.DEGRADED,
    "B": State.BUSY,
    "L": State.DRAINING,
    "D": State.DOWN,
}
_ALL = frozenset(Aspect)
_SHALLOW = frozenset({Aspect.SESSION})


def _result(
    verdict: Verdict,
    at: float = 1.0,
    *,
    aspect: Aspect = Aspect.SESSION,
    examined: frozenset[Aspect] = _ALL,
    latency_ms: float | None = 4.0,
) -> ProbeResult:
    # TLS counts here as where the policy does not demand it.
    effect = TOLERATED if verdict is Verdict.TLS_BROKEN else EFFECTS[verdict]
    return ProbeResult(verdict, f"said {verdict}", effect, latency_ms, 0.1, at, aspect, examined)


def _trouble(health: Health) -> str:
    return " ".join(sorted(health.trouble))


def _after(start: Health, marks: str, thresholds: Thresholds = _THRESHOLDS) -> list[Health]:
    healths = []
    for at, mark in enumerate(marks.split(), start=1):
        start = observe(start, _result(_OF_MARK[mark], float(at)), thresholds)
        healths.append(start)
    return healths


@pytest.mark.parametrize(
    ("start", "results", "states"),
    [
        # The first result decides at once, whatever it is.
        ("-", ".", "U"),
        ("-", "x", "D"),
        ("-", "b", "B"),
        ("-", "d", "L"),
        ("-", "g", "G"),
        ("-", "? ? .", "- - U"),
        ("-", "l k x", "- - D"),
        # Failures in a row.
        ("U", "x x x", "U U D"),
        ("U", "x x . x x x", "U U U U U D"),
        ("U", "x x s x x x", "U U U U U D"),  # slow is a success
        ("U", "x x ? x", "U U U D"),  # no information neither counts nor breaks a row
        ("U", "x x l x", "U U U D"),
        ("U", "l k l k l k", "U U U U U U"),
        ("G", "x x x", "G G D"),  # weakened members fall like up ones, and are up with the first success
        ("B", "x x x", "B B D"),
        ("G", "x .", "G U"),
        # Failures between which there are never two successes in a row.
        ("U", "x . x . x . x . x", "U U U U U U U U D"),
        ("U", "x x . x x . x", "U U U U U U D"),
        ("U", "x . x . x . . x . x . x", "U U U U U U U U U U U U"),
        ("U", "x b x b x b x b x", "U B B B B B B B D"),  # that a server is busy is no success
        # In words: one more makes sure, whatever the one before it was.
        ("U", "r r", "U D"),
        ("U", "x r", "U D"),
        ("U", "r x x", "U U D"),  # the latest one may have been the network: it takes three
        ("U", "r . r . r . r . r", "U U U U U U U U D"),
        ("U", "a", "D"),  # a rejected password is not asked again to be sure
        # Busy costs weight and not the place.
        ("U", "b", "B"),
        ("U", "b .", "B U"),
        ("U", "b b b b b b b b", "B B B B B B B B"),
        ("U", "x x b x x b", "U U B B B B"),  # an answer ends the row of failures
        ("G", "b .", "B U"),
        # Leaving, and broken TLS that nobody demands.
        ("U", "d d", "U L"),
        ("U", "d . d", "U U U"),
        ("U", "d x d x x x", "U U U U U D"),  # two arguments are two rows
        ("L", "d x x x", "L L L D"),
        ("L", "d d d x", "L L L L"),
        ("U", "g g", "U G"),
        ("U", "g . g", "U U U"),
        ("G", "g g d g g", "G G G G G"),
        ("B", "g g", "B G"),
        # Coming back.
        ("D", ". .", "D U"),
        ("D", ". x . .", "D D D U"),
        ("D", ". ? l .", "D D D U"),
        ("D", "x x x", "D D D"),
        ("D", ". g", "D G"),  # it takes mail
        ("D", ". b . .", "D D D U"),
        ("D", "b b", "D L"),  # somebody is there, but no reason to send mail
        ("D", "d d", "D L"),
        ("D", "d x d x d", "D D D D D"),
        ("L", ". .", "L U"),
        ("L", "g g", "L G"),
        ("L", "b b b . b . .", "L L L L L L U"),
    ],
)
def test_what_a_row_of_results_leads_to(start: str, results: str, states: str) -> None:
    """The first result decides; then rows do, of failures, of words, of successes, and doubts that never end."""
    healths = _after(Health(_OF_LETTER[start]), results)
    assert [health.state for health in healths] == [_OF_LETTER[letter] for letter in states.split()]


@pytest.mark.parametrize(
    ("thresholds", "start", "results", "states"),
    [
        (Thresholds(1, 1, 10), "U", "x . x .", "D U D U"),  # a single one decides, either way
        (Thresholds(1, 1, 10), "U", "r .", "D U"),  # no confirmation is longer than `fall`
        (Thresholds(1, 3, 10), "U", "x . x . x . x . x", "U U U U U U U U U"),  # each success wipes out what was before
        (Thresholds(3, 1, 10), "D", "b b b", "D D L"),
        (Thresholds(5, 2, 10), "U", "x . . . . x . x", "U U U U U U U D"),
    ],
)
def test_other_thresholds(thresholds: Thresholds, start: str, results: str, states: str) -> None:
    """The extremes of rise and fall mean what they say."""
    healths = _after(Health(_OF_LETTER[start]), results, thresholds)
    assert [health.state for health in healths] == [_OF_LETTER[letter] for letter in states.split()]


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.UNKNOWN}))
def test_every_verdict_comes_to_what_its_effect_says(verdict: Verdict) -> None:
    """Repeated, each verdict leads an up member to the state of its effect, with its weight and its alert."""
    health = Health(State.UP)
    for at in range(3):
        health = observe(health, replace(_result(verdict, at), effect=EFFECTS[verdict]), _THRESHOLDS)
    effect = EFFECTS[verdict]
    assert (health.state, health.percent, health.alert) == (effect.state or State.UP, effect.percent, effect.alert)


def test_since_is_the_time_of_the_last_change_of_state() -> None:
    """`since` moves only with the state; `last_probe` with each probe."""
    healths = _after(Health(), ". . x x x x")
    assert [health.since for health in healths] == [1, 1, 1, 1, 5, 5]
    assert [health.last_probe for health in healths] == [1, 2, 3, 4, 5, 6]


def test_counters_hold_the_row_that_is_running() -> None:
    """A result of one kind ends the row of the other."""
    healths = _after(Health(), ". . x x .")
    assert [(health.successes, health.failures) for health in healths] == [(1, 0), (2, 0), (0, 1), (0, 2), (1, 0)]


def test_no_information_changes_only_the_time_of_the_last_probe() -> None:
    """Verdict `unknown` leaves verdict, reason, latency and counters as they were."""
    before = Health(State.UP, Verdict.SLOW, "greeting took 3 s", 5, 0, since=1.0, last_probe=2.0, latency_ms=3000.0)
    assert observe(before, _result(Verdict.UNKNOWN, 9.0), _THRESHOLDS) == replace(before, last_probe=9.0)


def test_a_limited_probe_is_recorded_but_not_counted() -> None:
    """What is said of the probe and not of the member is shown, calls a person, and changes nothing else."""
    before = Health(State.UP, Verdict.OK, "", 0, 2, since=1.0, last_probe=2.0, latency_ms=3.0, argued=State.DOWN)
    after = observe(before, _result(Verdict.PROBE_LIMITED, 9.0), _THRESHOLDS)
    shown = replace(before, verdict=Verdict.PROBE_LIMITED, reason="said probe_limited", alert=True)
    assert after == replace(shown, last_probe=9.0)


def test_the_weight_waits_until_the_state_follows_and_the_alert_is_the_verdicts() -> None:
    """What is not confirmed yet costs no weight; an alert comes with the verdict that is shown, and goes with it."""
    healths = _after(Health(State.UP), "g g x . b")
    assert [(health.percent, health.alert) for health in healths] == [
        (100, True),
        (50, True),
        (50, False),
        (100, False),
        (10, False),
    ]


# Latency


def test_the_latency_shown_is_that_of_the_last_greeting() -> None:
    """It is None when there was no greeting."""
    seen = observe(Health(), _result(Verdict.OK), _THRESHOLDS)
    refused = _result(Verdict.REFUSED, latency_ms=None)
    assert (seen.latency_ms, observe(seen, refused, _THRESHOLDS).latency_ms) == (4.0, None)


def test_the_smoothed_latency_follows_good_greetings() -> None:
    """The first counts as it is, each later one for 30 %; refusals, busy replies and silence do not count."""
    health, seen = Health(), []
    for verdict, latency in (
        (Verdict.OK, 100.0),
        (Verdict.OK, 200.0),
        (Verdict.BUSY, 1.0),
        (Verdict.TIMEOUT, None),
        (Verdict.OK, None),
        (Verdict.TLS_BROKEN, 30.0),
    ):
        health = observe(health, _result(verdict, latency_ms=latency), _THRESHOLDS)
        seen.append(health.smoothed_ms)
    assert seen == [100.0, 130.0, 130.0, 130.0, 130.0, 100.0]


def test_a_member_that_comes_back_is_measured_anew() -> None:
    """How slow it was when it died says nothing of it now."""
    health = Health(State.DOWN, smoothed_ms=9000.0)
    for latency in (80.0, 60.0):
        health = observe(health, _result(Verdict.OK, latency_ms=latency), _THRESHOLDS)
    assert (health.state, health.smoothed_ms) == (State.UP, 60.0)


# Returns


@pytest.mark.parametrize(
    ("start", "results", "returned_at"),
    [
        ("-", ".", None),  # nobody has been away
        ("U", "b .", None),
        ("U", "g g .", None),
        ("U", "x x .", None),
        ("D", ". .", 2.0),
        ("L", ". .", 2.0),
        ("D", "g g .", 2.0),
        ("D", ". . . x .", 2.0),
        ("D", ". . x x x", None),
        ("D", ". . d d", None),
    ],
)
def test_a_return_is_one_from_down_or_draining(start: str, results: str, returned_at: float | None) -> None:
    """`returned_at` is when the member was let back in, and is forgotten when it leaves again."""
    assert _after(Health(_OF_LETTER[start]), results)[-1].returned_at == returned_at


# Busy


def _busy_at(*seconds: float, between: Iterable[tuple[float, Verdict]] = ()) -> Health:
    health = Health(State.UP)
    for at, verdict in sorted([*((at, Verdict.BUSY) for at in seconds), *between]):
        health = observe(health, _result(verdict, at), _THRESHOLDS)
    return health


def test_busy_for_a_minute_is_leaving() -> None:
    """From the first busy reply to one that comes 60 s later; then it takes `rise` successes to come back."""
    assert _busy_at(0, 10, 59).state is State.BUSY
    left = _busy_at(0, 10, 60)
    assert (left.state, left.verdict, left.since) == (State.DRAINING, Verdict.BUSY, 60)
    assert [health.state for health in _after(left, ". .")] == [State.DRAINING, State.UP]


def test_a_minute_of_busy_replies_takes_nobody_further_out() -> None:
    """For a member that is down they are one row, however far apart they come."""
    health = Health(State.DOWN)
    for at in (0.0, 60.0):
        health = observe(health, _result(Verdict.BUSY, at), _THRESHOLDS)
    assert health.state is State.DRAINING


def test_a_good_probe_begins_the_minute_anew() -> None:
    """Lost packets do not: they are no sign of mail being taken."""
    assert _busy_at(0, 40, 80, between=[(20, Verdict.OK)]).state is State.BUSY
    assert _busy_at(0, 40, 80, between=[(20, Verdict.TIMEOUT)]).state is State.DRAINING


def test_a_clock_that_is_set_back_makes_nobody_busy_for_long() -> None:
    """The minute is measured on the wall clock, whose steps back only make it longer."""
    busy = observe(Health(State.UP), _result(Verdict.BUSY, 1000.0), _THRESHOLDS)
    assert observe(busy, _result(Verdict.BUSY, 10.0), _THRESHOLDS).state is State.BUSY


# What was examined


def _rejecting_domain() -> Health:
    result = _result(Verdict.REJECTS_DOMAIN, aspect=Aspect.RECIPIENT)
    return observe(observe(Health(State.UP), result, _THRESHOLDS), result, _THRESHOLDS)


def test_a_good_greeting_says_nothing_of_a_rejected_domain() -> None:
    """Probes that do not come to the recipient change neither state nor verdict, however many they are."""
    down = health = _rejecting_domain()
    for at in range(5):
        health = observe(health, _result(Verdict.OK, float(at), examined=_SHALLOW), _THRESHOLDS)
    assert (health.state, health.verdict, health.reason) == (State.DOWN, Verdict.REJECTS_DOMAIN, down.reason)
    assert (health.successes, health.last_probe, _trouble(health)) == (0, 4.0, "recipient")


def test_each_probe_on_the_way_back_has_to_go_as_deep() -> None:
    """`rise` probes have to find the recipient accepted; with the return the trouble is over."""
    once = observe(_rejecting_domain(), _result(Verdict.OK), _THRESHOLDS)
    shallow = observe(once, _result(Verdict.OK, examined=_SHALLOW), _THRESHOLDS)
    twice = observe(shallow, _result(Verdict.OK), _THRESHOLDS)
    assert [health.state for health in (once, shallow, twice)] == [State.DOWN, State.DOWN, State.UP]
    assert [_trouble(health) for health in (once, shallow, twice)] == ["recipient", "recipient", ""]
    told = [(health.verdict, health.alert) for health in (once, shallow, twice)]
    assert told == [(Verdict.OK, False), (Verdict.REJECTS_DOMAIN, True), (Verdict.OK, False)]


def test_broken_tls_does_not_hide_that_the_domain_is_taken_again() -> None:
    """A degraded result that has looked at everything proves all but its own aspect."""
    found = _result(Verdict.TLS_BROKEN, aspect=Aspect.TLS)
    health = observe(observe(_rejecting_domain(), found, _THRESHOLDS), found, _THRESHOLDS)
    assert (health.state, _trouble(health)) == (State.DEGRADED, "tls")
    shallow = _result(Verdict.TLS_BROKEN, aspect=Aspect.TLS, examined=frozenset({Aspect.SESSION, Aspect.TLS}))
    health = observe(observe(_rejecting_domain(), shallow, _THRESHOLDS), shallow, _THRESHOLDS)
    assert (health.state, _trouble(health)) == (State.DOWN, "recipient tls")


def test_a_lost_packet_does_not_hide_a_rejected_login() -> None:
    """Good probes without a login end what they have seen to be well, and show again what is left."""
    health = observe(Health(State.UP), _result(Verdict.AUTH_FAILED, aspect=Aspect.AUTH), _THRESHOLDS)
    health = observe(health, _result(Verdict.TIMEOUT), _THRESHOLDS)
    assert (health.verdict, _trouble(health)) == (Verdict.TIMEOUT, "auth session")
    assert health.shows(Verdict.AUTH_FAILED)
    health = observe(health, _result(Verdict.OK, examined=_ALL - {Aspect.AUTH}), _THRESHOLDS)
    assert (health.verdict, health.alert, _trouble(health)) == (Verdict.AUTH_FAILED, True, "auth")


def test_one_login_that_succeeds_is_enough() -> None:
    """The next one may be far away: after it, probes without a login count as any others."""
    health = observe(Health(State.UP), _result(Verdict.AUTH_FAILED, aspect=Aspect.AUTH), _THRESHOLDS)
    health = observe(health, _result(Verdict.OK), _THRESHOLDS)
    assert (health.state, _trouble(health)) == (State.DOWN, "")
    assert observe(health, _result(Verdict.OK, examined=_SHALLOW), _THRESHOLDS).state is State.UP


def test_a_busy_recipient_needs_a_probe_that_asks_for_it() -> None:
    """One good probe is enough for a busy member, if it went as far as the one that failed."""
    busy = observe(Health(State.UP), _result(Verdict.BUSY, aspect=Aspect.RECIPIENT), _THRESHOLDS)
    assert observe(busy, _result(Verdict.OK, examined=_SHALLOW), _THRESHOLDS) == replace(busy, smoothed_ms=4.0)
    assert observe(busy, _result(Verdict.OK), _THRESHOLDS).state is State.UP


def test_what_is_not_examined_any_more_can_be_forgotten() -> None:
    """After a change of the recipe the faults that no probe would look at again do not hold a member down for ever."""
    health = narrowed(_rejecting_domain(), {Aspect.SESSION, Aspect.TLS})
    assert (health.state, health.faults) == (State.DOWN, ())
    assert [after.state for after in _after(health, ". .")] == [State.DOWN, State.UP]
    assert narrowed(_rejecting_domain(), {Aspect.RECIPIENT}) == _rejecting_domain()


# The next probe


@pytest.mark.parametrize(
    ("state", "argued", "failures", "interval", "seconds"),
    [
        (State.UP, State.UNKNOWN, 0, 10, 10),
        (State.UP, State.DOWN, 1, 10, 1),
        (State.UP, State.DOWN, 2, 10, 2),
        (State.UP, State.DOWN, 3, 10, 2),  # held up while the prober is suspect, or `fall` was lowered by a reload
        (State.UP, State.DOWN, 1, 0.5, 0.5),
        (State.UP, State.DOWN, 2, 1.5, 1.5),
        (State.DEGRADED, State.DOWN, 1, 10, 1),
        (State.DEGRADED, State.DEGRADED, 3, 10, 10),  # nothing new is said
        (State.BUSY, State.BUSY, 1, 10, 10),
        (State.UP, State.DRAINING, 1, 10, 1),
        (State.UP, State.DEGRADED, 1, 10, 1),
        (State.DRAINING, State.DOWN, 1, 10, 10),
        (State.DOWN, State.DOWN, 1, 10, 10),
        (State.UNKNOWN, State.UNKNOWN, 0, 10, 10),
    ],
)
def test_a_member_at_work_that_begins_to_fail_is_asked_again_at_once(
    state: State, argued: State, failures: int, interval: float, seconds: float
) -> None:
    """Confirming probes come 1 s after the first failure and 2 s after later ones, never later than the interval."""
    health = Health(state, failures=failures, argued=argued)
    assert next_probe(health, Thresholds(2, 3, interval)).delay == seconds


def test_a_death_is_confirmed_three_seconds_after_its_first_failure() -> None:
    """With fall 3 the waits between first failure and death add up to 1 s + 2 s."""
    healths = _after(Health(State.UP), "x x x")
    assert [next_probe(health, _THRESHOLDS).delay for health in healths] == [1.0, 2.0, 10.0]


@pytest.mark.parametrize(
    ("interval", "minutes", "seconds"),
    [
        (10, 0, 10),
        (10, 4.9, 10),
        (10, 5, 20),
        (10, 10, 30),
        (10, 25, 60),
        (10, 1000, 60),
        (2, 1000, 12),  # six times as seldom is enough
        (30, 1000, 60),
        (90, 1000, 90),
        (10, -5, 10),  # the clock was set back
    ],
)
def test_who_is_dead_for_long_is_asked_more_seldom(interval: float, minutes: float, seconds: float) -> None:
    """Five minutes of death slow the pace by one interval, up to six and to a minute; an answer ends that."""
    dead = Health(State.DOWN, since=1000.0, last_probe=1000.0 + 60 * minutes)
    assert next_probe(dead, Thresholds(2, 3, interval)).delay == seconds
    assert next_probe(replace(dead, successes=1), Thresholds(2, 3, interval)).delay == interval


def test_the_next_probe_looks_at_what_is_in_trouble() -> None:
    """Each probe does, until it is well; but a login that failed is not tried each time, or the guest gets banned."""
    assert next_probe(_rejecting_domain(), _THRESHOLDS) == NextProbe(10, frozenset({Aspect.RECIPIENT}))
    faults = tuple(Fault(aspect, Verdict.CLOSED, "", alert=False) for aspect in Aspect)
    assert next_probe(Health(State.DOWN, faults=faults), _THRESHOLDS).aspects == _ALL - {Aspect.AUTH}


# What is true of all sequences

_VERDICTS = st.sampled_from(sorted(Verdict))
_ASPECTS = st.sampled_from(list(Aspect))
_RESULTS = st.lists(st.tuples(_VERDICTS, _ASPECTS, st.sets(_ASPECTS)), max_size=60)
_SOME_THRESHOLDS = st.builds(Thresholds, st.integers(1, 5), st.integers(1, 5), st.just(10.0))


@given(_RESULTS, _SOME_THRESHOLDS)
def test_no_sequence_of_results_leads_astray(
    results: list[tuple[Verdict, Aspect, set[Aspect]]], thresholds: Thresholds
) -> None:
    """Counters stay within the thresholds, a member that is up has nothing confirmed against it, and good probes that
    look at everything always bring it up.
    """  # noqa: D205 -- three things that are true of every sequence
    health = Health()
    for at, (verdict, aspect, examined) in enumerate(results):
        looked = frozenset(examined | {aspect, Aspect.SESSION})
        health = observe(health, _result(verdict, 9.0 * at, aspect=aspect, examined=looked), thresholds)
        assert 0 <= health.successes <= thresholds.rise
        assert 0 <= health.failures <= max(thresholds.rise, thresholds.fall)
        assert 0 <= health.doubts <= 2 * thresholds.fall - 1
        assert len(health.faults) == len(health.trouble)
        assert health.percent == 100 or health.state is not State.UP
        assert next_probe(health, thresholds).delay <= 60
    for _ in range(thresholds.rise):
        health = observe(health, _result(Verdict.OK), thresholds)
    assert (health.state, health.faults, health.percent, health.alert) == (State.UP, (), 100, False)


@given(st.lists(st.sampled_from("..xxbrdg"), max_size=80), _SOME_THRESHOLDS)
def test_no_member_flaps_faster_than_rise_and_fall_allow(marks: list[str], thresholds: Thresholds) -> None:
    """A return comes with `rise` successes in a row; a death after it has `fall` failures, or two with words."""
    healths = [Health(State.UP), *_after(Health(State.UP), " ".join(marks), thresholds)]
    failures = 0
    for n, (before, after) in enumerate(pairwise(healths)):
        failures += marks[n] in "xr"
        if after.state in AT_WORK and before.state not in AT_WORK:
            assert set(marks[n - thresholds.rise + 1 : n + 1]) <= {".", "g"}
            failures = 0
        if after.state is State.DOWN and before.state is not State.DOWN:
            assert failures >= (min(2, thresholds.fall) if marks[n] == "r" else thresholds.fall)


@pytest.mark.parametrize(("rise", "fall"), list(product(range(2, 6), range(1, 6))))
def test_who_fails_every_second_time_goes_down(rise: int, fall: int) -> None:
    """After 2 * fall - 1 failures at the latest, and then it stays out as long as it goes on like that."""
    thresholds = Thresholds(rise, fall, 10.0)
    healths = _after(Health(State.UP), ". x " * 50, thresholds)
    deaths = [n for n, health in enumerate(healths) if health.state is State.DOWN]
    assert deaths == list(range(2 * (2 * fall - 1) - 1, 100))


# False removals


def _chain(thresholds: Thresholds) -> list[tuple[bool, int, int]]:
    """Return all states that a member which is up can reach: whether it is down, and what a success and a loss lead to.

    The first is where it begins.
    """
    results = _result(Verdict.OK), _result(Verdict.TIMEOUT)
    found = [Health(State.UP, last_probe=1.0, latency_ms=4.0, smoothed_ms=4.0)]
    followers = {}
    for health in found:
        followers[health] = [observe(health, result, thresholds) for result in results]
        found += [each for each in dict.fromkeys(followers[health]) if each not in found]
    place = {health: number for number, health in enumerate(found)}
    return [(health.state is State.DOWN, place[success], place[loss]) for health, (success, loss) in followers.items()]


def _removals(loss: float, probes: int, thresholds: Thresholds) -> float:
    """Return how often a healthy member is taken out in so many probes, each lost with that probability: exactly."""
    chain = _chain(thresholds)
    likely = [1.0] + [0.0] * (len(chain) - 1)
    removed = 0.0
    for _ in range(probes):
        following = [0.0] * len(chain)
        for chance, (down, success, failure) in zip(likely, chain, strict=True):
            following[success] += chance * (1 - loss)
            following[failure] += chance * loss
            removed += chance * loss * (chain[failure][0] and not down)
        likely = following
    return removed


def test_lost_connections_take_nobody_out() -> None:
    """With 1 % of connections lost, 10,000 probes and the default thresholds not one removal is to be expected.

    One in a hundred of such runs of 28 hours has one: three losses in a row, 0.01 ** 3 a probe.
    """
    expected = _removals(0.01, 10_000, _THRESHOLDS)
    assert 0.009 < expected < 0.01


def test_the_doubts_cost_a_lossy_path_almost_nothing() -> None:
    """That interleaved failures count adds less than a hundredth to the false removals by rows."""
    rows_only = _removals(0.01, 2_000, replace(_THRESHOLDS, rise=1))
    assert rows_only < _removals(0.01, 2_000, _THRESHOLDS) < 1.01 * rows_only


def test_the_patience_decides_and_not_the_verdict() -> None:
    """An effect with another patience makes the same verdict wait longer or not at all."""
    for patience, deciding in ((Patience.AT_ONCE, 1), (Patience.CONFIRM, 2), (Patience.FALL, 3)):
        result = replace(_result(Verdict.STORAGE), effect=Effect(State.DOWN, patience))
        health, count = Health(State.UP), 0
        while health.state is State.UP:
            health, count = observe(health, result, _THRESHOLDS), count + 1
        assert count == deciding
