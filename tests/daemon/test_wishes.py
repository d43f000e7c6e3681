"""What people want of members, and for how long it is remembered of those that are configured no more."""

from collections.abc import Mapping

import pytest

from dnslb.daemon import wishes as module
from dnslb.pool.admin import Admin, AdminState
from tests.daemon.stage import Stage

DRAINED, READY = Admin(AdminState.DRAIN, since=2.0), Admin(since=3.0)


def _remembered(stage: Stage) -> Mapping[str, AdminState]:
    return {member: admin.state for (_, member), admin in stage.wishes.known().admins.items()}


def test_a_member_that_is_removed_drained_comes_back_drained() -> None:
    """Who took it out of service did not mean the configuration of that time."""
    stage = Stage(admins={"mx1": DRAINED})
    stage.wishes.forget_removed(())
    assert stage.wishes.admin(("inbound", "mx1")) == DRAINED


def test_of_a_member_that_is_removed_ready_nothing_is_remembered() -> None:
    """Each that was ever drained and put back would be in the state for good."""
    stage = Stage(admins={"mx1": READY, "mx2": READY, "mx3": Admin(weight=7)})
    stage.wishes.forget_removed({("inbound", "mx2")})
    assert set(_remembered(stage)) == {"mx2", "mx3"}


def test_of_many_that_are_removed_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """To drain a server and then remove it is how servers go: the state must not grow with each."""
    monkeypatch.setattr(module, "MOST_REMOVED", 2)
    stage = Stage(admins={f"mx{number}": Admin(AdminState.DRAIN, since=float(number)) for number in (3, 9, 5)})
    stage.wishes.forget_removed(())
    assert set(_remembered(stage)) == {"mx5", "mx9"}
