"""Changes that nobody has made: what of a member they touch, and what the selection makes of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.health import Health, State, Verdict
from dnslb.pool.member import AllDown
from dnslb.pool.planned import Planned, Step
from dnslb.pool.planned import changed as changed_at
from dnslb.pool.selection import Candidate, select
from tests.conftest import candidate, member, pool


def _change(step: Step, member: str = "a", weight: int | None = None, tier: int = 1) -> Planned:
    return Planned(step, "inbound", member, weight, tier)


_NOW = 5000.0


def changed(candidates: Iterable[Candidate], changes: Sequence[Planned]) -> tuple[Candidate, ...]:
    """Return the members after changes that are made now."""
    return changed_at(candidates, changes, _NOW)


def _published(candidates: tuple[Candidate, ...]) -> dict[str, int]:
    of = pool(*(one.member for one in candidates))
    return {choice.member.name: choice.weight for choice in select(of, candidates, frozenset()).published}


_PAIR = (candidate("a", weight=50), candidate("b", weight=30))


@pytest.mark.parametrize("step", [Step.DRAIN, Step.MAINT, Step.DOWN])
def test_a_member_that_is_taken_out_leaves_the_rest(step: Step) -> None:
    """The selection is that of a pool to which it has really happened; what was given is as it was."""
    assert _published(changed(_PAIR, [_change(step)])) == {"b": 30}
    assert _published(_PAIR) == {"a": 50, "b": 30}


def test_a_plan_has_no_author() -> None:
    """A reason given for another drain is not that of this one."""
    drained = candidate("a", admin=AdminState.DRAIN, who="ann", reason="kernel")
    (after,) = changed([drained], [_change(Step.MAINT)])
    assert (after.admin.state, after.admin.who, after.admin.reason) == (AdminState.MAINT, "", "")


def test_ready_is_not_up() -> None:
    """What an operator says does not heal a server, and a server that is up again is published."""
    down = candidate("a", State.DOWN, AdminState.DRAIN, verdict=Verdict.REJECTING)
    (after,) = changed([down], [_change(Step.READY)])
    assert (after.admin.state, after.health) == (AdminState.READY, down.health)
    assert _published(changed([candidate("a", admin=AdminState.DRAIN), _PAIR[1]], [_change(Step.READY)])) == {
        "a": 1,
        "b": 30,
    }


def test_what_is_down_already_stays_down_for_its_own_reason() -> None:
    """A server that rejects the domain does not become a better one by being switched off."""
    rejecting = candidate("a", State.DOWN, verdict=Verdict.REJECTS_DOMAIN)
    assert changed([rejecting], [_change(Step.DOWN)]) == (rejecting,)


def test_a_member_that_goes_down_has_no_portion_left() -> None:
    """Busy with a tenth of its weight, and then gone: if it is published at all, it counts in full."""
    (after,) = changed([candidate("a", State.BUSY, weight=50, percent=10)], [_change(Step.DOWN)])
    assert (after.health.state, after.portion.percent) == (State.DOWN, 100)


def test_members_that_fall_with_the_last_good_one_are_good_last_too() -> None:
    """A planned death is one of now: what fell in the minute before it died of the same cause."""
    of = pool(member("a"), member("b"), all_down=AllDown.LAST_GOOD)
    fell = Candidate(of.members[0], Admin(), Health(State.DOWN, Verdict.TIMEOUT, since=970.0))
    last = Candidate(of.members[1], Admin(), Health(State.UP, Verdict.OK, since=1.0, last_probe=1000.0))
    after = changed([fell, last], [_change(Step.DOWN, "b")])
    assert {choice.member.name for choice in select(of, after, frozenset({"b"})).published} == {"a", "b"}


def test_a_weight_is_set_and_goes_back() -> None:
    """None is the configured one."""
    assert _published(changed(_PAIR, [_change(Step.WEIGHT, weight=7)])) == {"a": 7, "b": 30}
    other = (candidate("a", weight=50, runtime_weight=7), _PAIR[1])
    assert _published(changed(other, [_change(Step.WEIGHT)])) == {"a": 50, "b": 30}


def test_a_member_is_added_at_the_end_and_can_be_changed_too() -> None:
    """In its tier, and up: a plan may be about the first day of a new server, on which it dies."""
    added = _change(Step.ADD, "c", 20, tier=2)
    assert _published(changed(_PAIR, [added])) == {"a": 50, "b": 30, "c": 20}
    assert changed(_PAIR, [added])[-1].member.tier == 2
    assert _published(changed(_PAIR, [added, _change(Step.DOWN, "c")])) == {"a": 50, "b": 30}


def test_steps_are_taken_in_their_order() -> None:
    """The last word on a member holds, and others are left alone."""
    after = changed(_PAIR, [_change(Step.DRAIN), _change(Step.WEIGHT, weight=9), _change(Step.READY)])
    assert (after[0].admin.state, after[0].admin.weight) == (AdminState.READY, 9)
    assert after[1] is _PAIR[1]


@pytest.mark.parametrize(("out_since", "returned_at"), [(1000.0, _NOW), (3000.0, 2000.0)])
def test_who_was_down_while_drained_starts_slowly_when_it_is_ready(out_since: float, returned_at: float) -> None:
    """It came back at 2000, and had no mail since if it was drained then already."""
    cold = candidate("a", admin=AdminState.DRAIN)
    cold = replace(cold, admin=replace(cold.admin, since=out_since), health=replace(cold.health, returned_at=2000.0))
    (after,) = changed([cold], [_change(Step.READY)])
    assert after.health.returned_at == returned_at
