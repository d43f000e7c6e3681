"""Falls that come together make the prober suspect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnslb.pool.guard import Guard, held, judge_fall
from dnslb.pool.health import Health, ProbeResult, State, Thresholds, Verdict, observe
from dnslb.probe.verdict import EFFECTS

_ROUND = 10.0


def _story(size: int, *falls: tuple[float, str], **groups: str) -> list[bool]:
    """Return for each fall whether it is held; the guard remembers from one to the next.

    The pool has `size` members: those that fall, the ones with a group, and others.
    """
    fallen = dict.fromkeys((member for _, member in falls), "")
    members = {**fallen, **groups}
    members |= {f"other{number}": "" for number in range(size - len(members))}
    guard, told = Guard(), []
    for at, member in falls:
        guard, is_held = judge_fall(guard, member, members, 1000.0 + at, _ROUND)
        told.append(is_held)
    return told


def test_the_first_of_three_falls_and_the_others_are_held() -> None:
    """Two of three within a round are too many: the second and the third stay in; the first is out already."""
    assert _story(3, (0, "mx1"), (1, "mx2"), (2, "mx3")) == [False, True, True]


def test_who_still_fails_a_round_later_falls() -> None:
    """What is held is asked again, and held as long as the round lasts; then there is no second delay."""
    falls = [(0, "mx1"), (1, "mx2"), (2, "mx3"), (3, "mx2"), (10.9, "mx3"), (11, "mx2"), (11.5, "mx3")]
    assert _story(3, *falls) == [False, True, True, True, True, False, False]


def test_the_guard_is_armed_again_after_a_quiet_round() -> None:
    """As long as falls keep coming none is held; after a round without any the story begins anew."""
    begin = [(0, "mx1"), (1, "mx2")]
    assert _story(3, *begin, (12, "mx2"), (20, "mx3"), (29, "mx1"), (38, "mx2"))[2:] == [False] * 4
    assert _story(3, *begin, (12, "mx2"), (23, "mx1"), (24, "mx2"))[2:] == [False, False, True]
    assert _story(3, *begin, (21, "mx1"), (22, "mx2"))[2:] == [False, True]  # nobody failed after the round


@pytest.mark.parametrize(("size", "first_held"), [(1, None), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (9, 5)])
def test_half_of_the_pool_is_too_much(size: int, first_held: int | None) -> None:
    """And two at least: the only member of a pool, or one of two, is out when it is dead."""
    told = _story(size, *((0.1 * n, f"mx{n}") for n in range(size)))
    assert told == [first_held is not None and n >= first_held for n in range(1, size + 1)]


def test_falls_far_apart_are_no_suspicion() -> None:
    """One a round may fall until nobody is left."""
    assert _story(3, (0, "mx1"), (10, "mx2"), (20, "mx3")) == [False, False, False]


def test_one_member_that_falls_twice_is_one() -> None:
    """With quick thresholds a member can return and fall within a round."""
    assert _story(2, (0, "mx1"), (4, "mx1"), (8, "mx1")) == [False, False, False]


def test_a_rack_that_falls_is_one_fall() -> None:
    """Half of the members, of one rack, are out at once; the next one that falls with them is one too many."""
    racks = {"mx1": "r1", "mx2": "r1", "mx3": "r2", "mx4": "r2"}
    assert _story(4, (0, "mx1"), (1, "mx2"), **racks) == [False, False]
    assert _story(4, (0, "mx1"), (1, "mx2"), (2, "mx3"), (3, "mx4"), **racks) == [False, False, True, True]
    # Six that might fall apart from each other: half of that is three.
    assert _story(7, (0, "mx1"), (1, "mx2"), (2, "mx5"), (3, "mx6"), mx1="r1", mx2="r1") == [False, False, False, True]


def test_a_group_of_all_says_nothing() -> None:
    """The prober that has lost its way to the one site has lost all of it."""
    assert _story(3, (0, "mx1"), (1, "mx2"), mx1="s", mx2="s", mx3="s") == [False, True]


def test_a_clock_that_is_set_back_freezes_nothing() -> None:
    """What was decided in a future that is no more is forgotten."""
    assert _story(3, (0, "mx1"), (1, "mx2"), (-500, "mx3"), (-499, "mx2")) == [False, True, False, True]


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abcdef")), max_size=40), st.integers(1, 6))
def test_nobody_is_held_for_longer_than_a_round(waits: list[tuple[float, str]], size: int) -> None:
    """Whatever comes, any time of more than a round that begins with a held fall has one that is not, or none."""
    falls, at = [], 0.0
    for wait, member in waits:
        at += wait
        falls.append((at, member))
    told = _story(size, *falls)
    begin = None
    for (at, _), is_held in zip(falls, told, strict=True):
        if not is_held:
            begin = None
        elif begin is None:
            begin = at
        assert begin is None or at - begin < _ROUND


def test_a_held_member_keeps_its_place() -> None:
    """State, its time, its weight and its slow start are as before; what was found is kept, and next time counts."""
    thresholds = Thresholds(2, 2, 10.0)
    before = Health(State.BUSY, since=5.0, percent=10, returned_at=4.0)
    result = ProbeResult(Verdict.TIMEOUT, "no answer", EFFECTS[Verdict.TIMEOUT], None, 10.0, 9.0)
    failing = observe(before, result, thresholds)
    kept = held(failing, observe(failing, result, thresholds))
    assert (kept.state, kept.since, kept.percent, kept.returned_at) == (State.BUSY, 5.0, 10, 4.0)
    assert (kept.verdict, kept.failures) == (Verdict.TIMEOUT, 2)
    assert observe(kept, result, thresholds).state is State.DOWN
