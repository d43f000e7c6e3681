"""The TTL that a running daemon gives out: short while a change is seen coming, long while none is."""

import os
import signal
import time
from datetime import datetime
from typing import Any

import pytest

from tests.daemon.conftest import Daemon, runs, until

BOUNDS = "{ min = 10, max = 90 }"


def ttl(of: Daemon) -> int:
    """Return the TTL of the relay's addresses."""
    return of.ask().answer[0].ttl


def service(of: Daemon) -> Any:  # noqa: ANN401 - JSON
    """Return the status of the relay's service."""
    return of.call("status")["services"]["relay.lb.test"]


def test_a_death_makes_the_ttl_short_until_the_member_is_out(daemon: Daemon) -> None:
    """With the first probe that fails; once the answers are without it they hold for long again."""
    daemon.start(ttl=BOUNDS, fall=20)
    assert (ttl(daemon), service(daemon)["ttl"]) == (90, 90)
    daemon.members.close("mx2")
    until(lambda: ttl(daemon) == 10, "the TTL is short")
    assert daemon.members_in_answer() == {"mx1", "mx2"}
    found = daemon.call("explain", name="relay.lb.test")
    told = (found["ttl"], found["ttl_min"], found["ttl_max"], found["ttl_why"])
    assert told == (10, 10, 90, "mx2 fails, and is being confirmed")
    until(lambda: ttl(daemon) == 90, "the TTL is long")
    assert daemon.members_in_answer() == {"mx1"}
    facts = service(daemon)
    assert (facts["ttl"], facts["ttl_min"], facts["ttl_max"]) == (90, 10, 90)


def test_a_lost_probe_leaves_the_ttl_as_it_was(daemon: Daemon) -> None:
    """The next one finds the member well, and what was seen coming does not come."""
    daemon.start(ttl=BOUNDS, fall=500, interval="100ms")
    daemon.members.close("mx2")
    until(lambda: ttl(daemon) < 90, "the TTL is shorter")
    daemon.members.open("mx2")
    until(lambda: ttl(daemon) == 90, "the TTL is long")
    assert daemon.members_in_answer() == {"mx1", "mx2"}


def test_an_announced_drain_makes_the_ttl_short_before_it(daemon: Daemon) -> None:
    """Until it is called off, or has come: then the answers are without the member and hold for long again."""
    daemon.start(ttl=BOUNDS)
    mx1 = {"pool": "mail", "member": "mx1"}
    daemon.call("window", **mx1, begin=time.time() + 44)
    until(lambda: ttl(daemon) == 22, "the TTL ends before the drain")
    assert daemon.call("explain", name="relay.lb.test")["ttl_why"] == "mx1 is about to be drained"
    daemon.call("admin", **mx1, state="ready")
    until(lambda: ttl(daemon) == 90, "the TTL is long")
    assert daemon.members_in_answer() == {"mx1", "mx2"}

    daemon.call("window", **mx1, begin=time.time() + 5)
    until(lambda: ttl(daemon) == 10, "the TTL is short")
    until(lambda: daemon.members_in_answer() == {"mx2"}, "the drain has begun")
    until(lambda: ttl(daemon) == 90, "the TTL is long")


def test_a_restart_does_not_forget_what_is_announced(daemon: Daemon) -> None:
    """Not even the first answer is kept beyond the drain, and the first generation is the only one."""
    daemon.start(ttl=BOUNDS)
    daemon.call("window", pool="mail", member="mx1", begin=time.time() + 80)
    assert daemon.stop() == 0
    daemon.start()
    assert ttl(daemon) == 45
    assert daemon.call("status")["generation"] == 1


def test_a_reload_gives_a_fixed_ttl_room_and_takes_it_again(daemon: Daemon) -> None:
    """A member that is failing meanwhile counts from then on; a fixed TTL is itself whatever comes."""
    daemon.start(ttl=30, fall=1000, interval="100ms")
    daemon.members.close("mx2")
    until(lambda: daemon.member("mx2")["verdict"] == "refused", "a probe has failed")
    assert ttl(daemon) == 30
    daemon.configure(ttl="{ min = 7, max = 120 }")
    daemon.call("reload")
    until(lambda: ttl(daemon) == 60, "the TTL goes by the failures")
    daemon.configure(ttl=25)
    daemon.call("reload")
    assert ttl(daemon) == 25


def seconds_in_caches(of: Daemon) -> float:
    """Return for how long caches keep mx1 after its last answer."""
    drain = of.member("mx1")["drain"]
    last, until_then = (datetime.fromisoformat(drain[key]) for key in ("last_answer", "caches_expire"))
    return (until_then - last).total_seconds()


def test_a_shorter_ttl_after_a_restart_does_not_make_caches_forget(daemon: Daemon) -> None:
    """Neither a clean one nor one after a kill: what was given out for ten minutes is kept for ten minutes."""
    daemon.start(ttl=600)
    assert daemon.stop() == 0
    process = daemon.start(ttl=3)
    drained = daemon.call("admin", pool="mail", member="mx1", state="drain")["drain"]
    # From the first answer of this run, that is.
    assert 500 < seconds_in_caches(daemon) <= 600
    process.kill()
    process.wait(30)
    daemon.start()
    assert daemon.logged("replaced_workers_left_behind")
    assert seconds_in_caches(daemon) > 500
    assert not daemon.member("mx1")["drain"]["safe_to_stop"]
    assert drained["caches_expire"] <= daemon.member("mx1")["drain"]["caches_expire"]


def last_answer(of: Daemon) -> float:
    """Return the Unix time at which mx1 was last given out."""
    return datetime.fromisoformat(of.member("mx1")["drain"]["last_answer"]).timestamp()


def test_a_worker_left_behind_gives_out_until_it_has_gone(daemon: Daemon) -> None:
    """The countdown of a member that only the killed run has given out begins when that run's last worker goes."""
    daemon.weights["mx2"] = 0
    process = daemon.start()
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    assert daemon.members_in_answer() == {"mx1"}
    (old,) = daemon.worker_pids()
    process.kill()
    process.wait(30)
    # It holds on for five seconds.
    os.kill(old, signal.SIGSTOP)
    daemon.weights["mx2"] = 50
    daemon.start()
    ready = time.time()
    assert runs(old)
    until(lambda: not runs(old), "the old one ends")
    assert last_answer(daemon) > ready
    until(lambda: last_answer(daemon) < time.time() - 2, "the countdown goes on")
    gone = last_answer(daemon)
    assert daemon.stop() == 0
    daemon.start()
    assert last_answer(daemon) == pytest.approx(gone, abs=1)


def test_a_restart_does_not_begin_the_countdown_anew(daemon: Daemon) -> None:
    """Nobody gave the member out meanwhile: it left when it left."""
    daemon.start(ttl=600)
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    kept = seconds_in_caches(daemon)
    assert daemon.stop() == 0
    stopped = time.time()
    daemon.start()
    assert last_answer(daemon) < stopped
    assert seconds_in_caches(daemon) == pytest.approx(kept, abs=1)
