"""What is left of a pool without one of its members: the numbers that a drain is judged by."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dnslb.pool.admin import AdminState
from dnslb.pool.health import State
from dnslb.pool.member import AllDown
from dnslb.pool.remains import Remains, in_words, remains, remains_during, warning
from dnslb.pool.selection import Candidate
from dnslb.pool.window import Window
from tests.conftest import candidate, pool

A, B, C = candidate("a", weight=50), candidate("b", weight=30), candidate("c", weight=20)


def without_a(*others: Candidate, least: float = 0.0, to: AdminState = AdminState.DRAIN) -> Remains:
    """Return what is left of a pool of a and the others when a goes."""
    candidates = (A, *others)
    return remains(pool(*(c.member for c in candidates), min_healthy=least), candidates, frozenset(), "a", to)


def test_what_is_left_is_counted_in_members_and_weight() -> None:
    """A drained member's weight is part of the whole, as for the panic."""
    left = without_a(B, C)
    assert (left.members, left.of, left.weight, left.total, left.percent) == (2, 3, 50, 100, 50.0)
    assert (left.enough, left.answers, left.back) == (True, ["b", "c"], [])
    assert in_words(left) == "2 of 3 members with 50 of the pool's weight of 100 (50 %; min_healthy is 0 %)"


@pytest.mark.parametrize(("least", "enough"), [(0.5, True), (0.51, False)])
def test_too_little_is_what_panics(least: float, *, enough: bool) -> None:
    """The very limit is enough, as it is for the selection."""
    assert without_a(B, C, least=least).enough is enough


@pytest.mark.parametrize(
    ("b", "why"),
    [
        (candidate("b", admin=AdminState.DRAIN), "drained"),
        (candidate("b", admin=AdminState.MAINT), "in maintenance"),
        (candidate("b", State.DOWN), "down"),
        (candidate("b", State.DRAINING), "draining"),
        (candidate("b", weight=0), "without weight"),
    ],
)
def test_who_takes_no_mail_is_not_left(b: Candidate, why: str) -> None:
    """With nobody left it is never enough, whatever min_healthy says, and the words say who is missing and why."""
    left = without_a(b)
    assert (left.members, left.weight, left.enough) == (0, 0, False)
    assert in_words(left).endswith(f": b is {why}")


@pytest.mark.parametrize(("state", "why"), [(State.BUSY, "busy"), (State.UNKNOWN, "not probed yet")])
def test_who_may_take_mail_is_somebody(state: State, why: str) -> None:
    """Busy or not probed yet, it does not count as healthy, and is better than nobody."""
    left = without_a(candidate("b", state))
    assert (left.members, left.enough, left.out) == (0, True, {"b": why})


def test_groups_count_whole_or_not_at_all() -> None:
    """As they do when the pool panics: the numbers say both."""
    rack = [
        candidate(name, state, weight=30) for name, state in (("b", State.UP), ("d", State.DOWN), ("e", State.DOWN))
    ]
    grouped = [replace(c, member=replace(c.member, group="rack")) for c in rack]
    left = without_a(C, *grouped, least=0.3)
    assert (left.members, left.weight, left.healthy, left.enough) == (2, 50, 20, False)
    assert "(31.25 %, or 12.5 % with groups counted whole or not at all; min_healthy is 30 %)" in in_words(left)


def test_a_last_member_stays_where_nothing_better_is() -> None:
    """A drained one is better than one that is down; in maintenance, only one that is in maintenance too is worse."""
    down = candidate("b", State.DOWN)
    assert without_a(down).answers == ["a"]
    assert without_a(down, to=AdminState.MAINT).answers == ["b"]
    assert without_a().answers == ["a"]


DRAINED = [candidate(name, weight=25, admin=AdminState.DRAIN) for name in "bc"]


@pytest.mark.parametrize(
    ("others", "to", "told"),
    [
        (
            DRAINED,
            AdminState.DRAIN,
            "a stays in the answers, and b, c come back (do not stop them); without a there are 0",
        ),
        (DRAINED[:1], AdminState.MAINT, "the answers have b; b comes back (do not stop it); without a"),
        ([candidate("b", State.DOWN)], AdminState.DRAIN, "a stays in the answers; without a"),
    ],
)
def test_who_takes_the_last_one_out_is_told_what_really_happens(
    others: list[Candidate], to: AdminState, told: str
) -> None:
    """Who was drained is needed again, and who was told that it is safe to stop them is told otherwise."""
    assert warning(without_a(*others, to=to)).startswith(f"no ready member that works is left: {told}")


def test_who_is_in_the_answers_already_does_not_come_back() -> None:
    """All are drained, and one goes into maintenance: the others go on."""
    candidates = [replace(A, admin=replace(A.admin, state=AdminState.DRAIN)), *DRAINED]
    of = pool(*(c.member for c in candidates))
    left = remains(of, candidates, frozenset(), "a", AdminState.MAINT)
    assert (left.answers, left.back) == (["b", "c"], [])
    assert warning(left).startswith("no ready member that works is left: the answers have b, c; without a there are 0")


def test_nobody_at_all_is_said_so() -> None:
    """Where the configuration wants it."""
    down = candidate("b", State.DOWN)
    of = pool(A.member, down.member, all_down=AllDown.SERVFAIL)
    left = remains(of, [replace(A, health=down.health), down], frozenset(), "a", AdminState.DRAIN)
    assert "left: nobody is in the answers, and queries get SERVFAIL; without a" in warning(left)


def window(member: str, begin: float, end: float | None = None) -> Window:
    """Return a window that has not begun."""
    return Window("inbound", member, begin, end)


def least(*others: Window, mine: Window | None = None, b: Candidate = B) -> Remains:
    """Return what is left during a window of a from 100 to 200."""
    candidates = (A, b, C)
    of = pool(*(each.member for each in candidates))
    return remains_during(of, candidates, frozenset(), mine or window("a", 100.0, 200.0), others)


@pytest.mark.parametrize(
    ("others", "weight"),
    [
        ([], 50),
        ([window("b", 0.0, 100.0)], 50),
        ([window("b", 0.0, 100.1)], 20),
        ([window("b", 199.0, 300.0)], 20),
        ([window("b", 200.0, 300.0)], 50),
        ([window("b", 50.0)], 20),
        ([window("b", 0.0, 150.0), window("c", 150.0, 200.0)], 20),
        ([window("b", 0.0, 150.0), window("c", 149.0, 200.0)], 0),
    ],
)
def test_the_least_of_a_window_counts(others: list[Window], weight: int) -> None:
    """Others are out while their windows cover a moment of this one; two of them only where they meet."""
    assert least(*others).weight == weight


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine's clock go by UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_utc")
def test_who_will_be_in_a_window_is_not_called_drained() -> None:
    """People would look for a drain that is not there yet: its times are said, with the day of the end if need be."""
    assert least(window("b", 120.0, 7200.0)).out == {"b": "in its window then (1970-01-01 00:02 to 02:00 UTC)"}
    assert least(window("b", 50.0)).out == {"b": "in its window then (from 1970-01-01 00:00 UTC on)"}
    assert least(window("b", 50.0, 90_000.0)).out["b"].endswith("to 1970-01-02 01:00 UTC)")
    drained = candidate("b", weight=30, admin=AdminState.DRAIN)
    assert least(replace(window("b", 0.0, 190.0), begun=True), b=drained).out == {"b": "drained"}
    assert least(window("b", 50.0), b=candidate("b", weight=0)).out == {"b": "without weight"}


def test_who_will_be_back_by_then_is_not_missing() -> None:
    """A member that is drained by its own window counts again after that; one drained by a person does not."""
    drained = candidate("b", weight=30, admin=AdminState.DRAIN)
    running = replace(window("b", 0.0, 90.0), begun=True)
    assert least(running, b=drained).weight == 50
    assert least(b=drained).weight == 20


def test_a_window_without_end_meets_all_that_come_later() -> None:
    """Nobody knows when it will be over."""
    assert least(window("b", 5000.0, 6000.0), mine=window("a", 100.0)).weight == 20
