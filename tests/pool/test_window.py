"""What the time means for a planned drain: begin, end and what the clock has jumped over, each once."""

from dataclasses import replace

import pytest

from dnslb.pool.admin import Admin, AdminState
from dnslb.pool.window import Due, Window, all_due, begun, due, ended, state_at

PLANNED = Window("inbound", "mx1", 100.0, 200.0, "kernel", "ann")
RUNNING = replace(PLANNED, begun=True)
ENDLESS = replace(PLANNED, end=None)
DRAINED = Admin(AdminState.DRAIN, 7, "kernel", "ann", 100.0)


@pytest.mark.parametrize(
    ("window", "now", "what"),
    [
        (PLANNED, 99.9, None),
        (PLANNED, 100.0, Due.BEGIN),
        (PLANNED, 199.9, Due.BEGIN),
        (PLANNED, 200.0, Due.SKIP),
        (PLANNED, 9e9, Due.SKIP),
        (RUNNING, 0.0, None),
        (RUNNING, 199.9, None),
        (RUNNING, 200.0, Due.END),
        (ENDLESS, 99.9, None),
        (ENDLESS, 9e9, Due.BEGIN),
        (replace(ENDLESS, begun=True), 9e9, None),
    ],
)
def test_each_step_has_its_time(window: Window, now: float, what: Due | None) -> None:
    """A clock that goes back over the beginning begins nothing anew; one that jumps over all of it leaves it out."""
    assert due(window, now) is what


def test_who_comes_back_comes_first() -> None:
    """The next one may need it; of those that begin, the earliest goes first."""
    ending, late = replace(RUNNING, member="mx2", end=150.0), replace(PLANNED, member="mx3", begin=149.0)
    over = replace(PLANNED, member="mx4", begin=1.0, end=2.0)
    found = all_due([late, PLANNED, over, replace(ENDLESS, member="mx5", begin=151.0), ending], 150.0)
    assert found == [(Due.END, ending), (Due.SKIP, over), (Due.BEGIN, PLANNED), (Due.BEGIN, late)]


def test_a_window_drains_and_brings_back() -> None:
    """The reason and the name are those of the window, and the weight that people gave stays."""
    window, drained = begun(PLANNED, Admin(weight=7), 100.0)
    assert (window, drained) == (RUNNING, DRAINED)
    assert ended(window, drained, 200.0) == Admin(AdminState.READY, 7, "", "ann", 200.0)


@pytest.mark.parametrize("state", [AdminState.DRAIN, AdminState.MAINT])
def test_who_was_out_before_stays_out_after(state: AdminState) -> None:
    """As people said it, and for their reason."""
    admin = Admin(state, None, "disks", "bob", 50.0)
    window, during = begun(replace(PLANNED, before=state), admin, 100.0)
    assert (window, during) == (replace(RUNNING, before=state), admin)
    assert ended(window, during, 200.0) == admin


def test_maintenance_in_between_is_the_last_word() -> None:
    """Whether it was said before the window began or while it ran: nothing brings the member back."""
    maint = Admin(AdminState.MAINT, None, "smoke", "bob", 150.0)
    assert begun(PLANNED, maint, 100.0) == (replace(RUNNING, before=AdminState.MAINT), maint)
    assert ended(RUNNING, maint, 200.0) == maint


def test_a_window_after_another_goes_on_with_its_drain() -> None:
    """The drain began when it began; the reason is that of the new window."""
    second = replace(PLANNED, begin=150.0, end=250.0, reason="disks", who="bob")
    window, admin = begun(second, DRAINED, 150.0)
    assert admin == Admin(AdminState.DRAIN, 7, "disks", "bob", 100.0)
    assert ended(window, admin, 250.0).state is AdminState.READY


@pytest.mark.parametrize(
    ("admin", "window", "states"),
    [
        (Admin(), None, "ready ready ready"),
        (Admin(), PLANNED, "ready drain ready"),
        (Admin(), ENDLESS, "ready drain drain"),
        (DRAINED, None, "drain drain drain"),
        (DRAINED, RUNNING, "drain drain ready"),
        (DRAINED, replace(PLANNED, before=AdminState.DRAIN), "drain drain drain"),
        (Admin(AdminState.MAINT), PLANNED, "maint maint maint"),
    ],
)
def test_the_admin_state_can_be_foretold(admin: Admin, window: Window | None, states: str) -> None:
    """Before, during and after a window, if nobody says anything else."""
    assert " ".join(state_at(admin, window, moment) for moment in (99.0, 100.0, 200.0)) == states
