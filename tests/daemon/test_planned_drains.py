"""Planned drains of a running daemon: the answers follow them, also over restarts and reloads."""

import time
from typing import TYPE_CHECKING, Any

import pytest

from dnslb.control.protocol import Refused
from tests.daemon.conftest import until

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

HOUR = 3600.0


def plan(daemon: "Daemon", ahead: float | None, seconds: float | None, member: str = "mx1", **args: object) -> Any:  # noqa: ANN401 - JSON
    """Have a member drained in so many seconds, for so many seconds."""
    begin = None if ahead is None else time.time() + ahead
    return daemon.call("window", pool="mail", member=member, begin=begin, seconds=seconds, **args)


def steps(daemon: "Daemon") -> list[str]:
    """Return what the events say of windows."""
    return [event["details"]["what"] for event in daemon.call("events") if event["kind"] == "window"]


def test_the_answers_follow_a_window(daemon: "Daemon") -> None:
    """The member leaves them when it begins, and is back in them when it is over."""
    daemon.start()
    done = plan(daemon, 2.0, 3.0, reason="kernel")
    assert (done["window"]["state"], done["published"], done["drain"]) == ("announced", True, None)
    until(lambda: daemon.members_in_answer() == {"mx2"}, "mx1 is drained")
    facts = daemon.member("mx1")
    assert (facts["admin"], facts["window"]["state"], facts["drain"]["queue"]) == ("drain", "running", None)
    until(lambda: daemon.members_in_answer() == {"mx1", "mx2"}, "mx1 is back")
    facts = daemon.member("mx1")
    assert (facts["admin"], facts["window"], facts["share"]) == ("ready", None, 0.5)
    assert steps(daemon) == ["announced", "begun", "ended"]


def test_a_window_outlives_the_daemon(daemon: "Daemon") -> None:
    """One that began while none ran is in the first answers of the next one; so is one that ended."""
    daemon.start()
    plan(daemon, 0.2, HOUR)
    daemon.stop()
    daemon.start()
    assert daemon.members_in_answer() == {"mx2"}
    plan(daemon, None, 0.2)
    daemon.stop()
    daemon.start()
    assert daemon.members_in_answer() == {"mx1", "mx2"}


def test_a_member_that_comes_back_in_its_window_is_drained(daemon: "Daemon") -> None:
    """A reload may remove it, and another one bring it back: no answer holds it meanwhile."""
    daemon.start()
    plan(daemon, 0.5, HOUR)
    daemon.weights = {"mx2": 50}
    daemon.configure()
    (warning,) = daemon.call("reload")["warnings"]
    assert warning.startswith("mail/mx1 is configured no more, and its window from ")
    until(lambda: "begun" in steps(daemon), "the window begins without its member")
    daemon.weights = {"mx1": 50, "mx2": 50}
    daemon.configure()
    assert daemon.call("reload")["warnings"] == []
    assert daemon.members_in_answer() == {"mx2"}
    assert daemon.member("mx1")["window"]["state"] == "running"


def test_ttls_get_shorter_before_a_window(daemon: "Daemon") -> None:
    """So that caches have little left of the member when it leaves, and never more than the time that is left."""
    daemon.start(ttl="{ min = 5, max = 60 }")

    def ttl() -> int:
        found: int = daemon.ask().answer[0].ttl
        return found

    assert ttl() == 60
    done = plan(daemon, 20.0, HOUR)
    assert done["ttls_shorten_at"] is not None
    until(lambda: ttl() <= 20, "the TTL is short")
    daemon.call("admin", pool="mail", member="mx1", state="ready")
    until(lambda: ttl() == 60, "the TTL is long again")


def test_nobody_is_left_out_by_a_window(daemon: "Daemon") -> None:
    """Two members at one time would be all: the second is refused, with the first one named."""
    daemon.start()
    plan(daemon, HOUR, HOUR)
    with pytest.raises(Refused, match=r"mx2 would leave 0 of 2 members .*: mx1 is in its window then .*; --force"):
        plan(daemon, 1.5 * HOUR, HOUR, "mx2")
    assert plan(daemon, 2.5 * HOUR, HOUR, "mx2")["remains"]["members"] == 1
    assert plan(daemon, None, HOUR, "mx2", force=True)["published"] is False
