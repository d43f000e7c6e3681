"""From probe results to a member's state, and when to probe next."""

from dataclasses import replace

import pytest

from dnslb.pool.health import Health, ProbeResult, State, Thresholds, Verdict, next_probe, observe
from dnslb.probe.verdict import EFFECTS

_THRESHOLDS = Thresholds(rise=2, fall=3, interval=10.0)

_OF_MARK = {
    ".": Verdict.OK,
    "s": Verdict.SLOW,
    "x": Verdict.REFUSED,
    "?": Verdict.UNKNOWN,
    "l": Verdict.PROBE_LIMITED,
    "b": Verdict.PROBE_BLOCKED,
}
_OF_LETTER = {"-": State.UNKNOWN, "U": State.UP, "G": State.DEGRADED, "D": State.DOWN}


def _result(verdict: Verdict, at: float = 1.0) -> ProbeResult:
    return ProbeResult(verdict, f"said {verdict}", EFFECTS[verdict], latency_ms=4.0, duration_s=0.1, at=at)


def _after(start: Health, marks: str) -> list[Health]:
    healths = []
    for at, mark in enumerate(marks.split(), start=1):
        start = observe(start, _result(_OF_MARK[mark], float(at)), _THRESHOLDS)
        healths.append(start)
    return healths


@pytest.mark.parametrize(
    ("start", "results", "states"),
    [
        ("-", ".", "U"),  # the first result decides at once
        ("-", "x", "D"),
        ("-", "? ? .", "- - U"),
        ("-", "l b x", "- - D"),
        ("U", "x x x", "U U D"),
        ("U", "x x . x x x", "U U U U U D"),
        ("U", "x x s x x x", "U U U U U D"),  # slow is a success
        ("U", "x x ? x", "U U U D"),  # no information neither counts nor breaks a row
        ("U", "x x l x", "U U U D"),
        ("U", "l b l b l b", "U U U U U U"),
        ("G", "x x x", "G G D"),  # weakened members fall like up ones, and are up with the first success
        ("G", "x .", "G U"),
        ("D", ". .", "D U"),
        ("D", ". x . .", "D D D U"),
        ("D", ". ? b .", "D D D U"),
        ("D", "x x x", "D D D"),
    ],
)
def test_results_in_a_row_move_the_state(start: str, results: str, states: str) -> None:
    """`fall` failures in a row take an up member down, `rise` successes bring it back, the first result decides."""
    healths = _after(Health(_OF_LETTER[start]), results)
    assert [health.state for health in healths] == [_OF_LETTER[letter] for letter in states.split()]


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - set(_OF_MARK.values())))
def test_every_other_verdict_is_a_failure(verdict: Verdict) -> None:
    """A verdict that is neither a success nor about the probe itself takes a member down."""
    assert observe(Health(), _result(verdict), _THRESHOLDS).state is State.DOWN


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
    """What is said of the probe and not of the member is shown, and changes nothing else."""
    before = Health(State.UP, Verdict.OK, "", 0, 2, since=1.0, last_probe=2.0, latency_ms=3.0)
    after = observe(before, _result(Verdict.PROBE_LIMITED, 9.0), _THRESHOLDS)
    expected = replace(before, verdict=Verdict.PROBE_LIMITED, reason="said probe_limited", last_probe=9.0)
    assert after == expected


def test_a_counted_result_brings_its_latency() -> None:
    """The latency shown is that of the last counted probe, None when it got no greeting."""
    seen = observe(Health(), _result(Verdict.OK), _THRESHOLDS)
    refused = replace(_result(Verdict.REFUSED), latency_ms=None)
    assert (seen.latency_ms, observe(seen, refused, _THRESHOLDS).latency_ms) == (4.0, None)


@pytest.mark.parametrize(
    ("state", "failures", "fall", "interval", "seconds"),
    [
        (State.UP, 0, 3, 10, 10),
        (State.UP, 1, 3, 10, 1),
        (State.UP, 2, 3, 10, 2),
        (State.UP, 4, 5, 10, 2),
        (State.UP, 3, 3, 10, 10),  # fall was lowered by a reload: the next failure decides
        (State.UP, 1, 1, 10, 10),
        (State.UP, 1, 3, 0.5, 0.5),
        (State.UP, 2, 3, 1.5, 1.5),
        (State.DEGRADED, 1, 3, 10, 1),
        (State.DOWN, 1, 3, 10, 10),
        (State.UNKNOWN, 0, 3, 10, 10),
    ],
)
def test_an_up_member_that_begins_to_fail_is_asked_again_at_once(
    state: State, failures: int, fall: int, interval: float, seconds: float
) -> None:
    """Confirming probes come 1 s after the first failure and 2 s after later ones, never later than the interval."""
    assert next_probe(Health(state, failures=failures), Thresholds(2, fall, interval)).delay == seconds


def test_a_death_is_confirmed_three_seconds_after_its_first_failure() -> None:
    """With fall 3 the waits between first failure and death add up to 1 s + 2 s."""
    healths = _after(Health(State.UP), "x x x")
    assert [next_probe(health, _THRESHOLDS).delay for health in healths] == [1.0, 2.0, 10.0]
