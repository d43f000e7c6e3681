"""What an operator does to a running daemon, and what may happen to it, while queries go on."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.e2e import resolvers
from tests.e2e.processes import is_free, process_group, until
from tests.e2e.product import Daemon
from tests.e2e.traffic import Traffic

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage

ALL = ("mx1", "mx2", "mx3", "mx4")


def worker_pids(daemon: Daemon) -> set[int]:
    """Return the process ids of the daemon's workers."""
    return {worker["pid"] for worker in daemon.status()["workers"]}


def test_reloads_lose_no_query(stage: Stage, members: Members) -> None:
    """Each reload changes the answers, and meanwhile every query gets a right one, directly and through a resolver."""
    daemon = Daemon(stage, members)
    resolver = resolvers.unbound(stage, daemon.port)
    daemon.wait_published(*ALL)
    with Traffic(daemon.port) as direct, Traffic(resolver.port) as resolved:
        for absent in ALL:
            daemon.configure({absent: 0})
            done = daemon.cli("reload")
            assert done.returncode == 0, done.stderr
            daemon.wait_published(*(name for name in ALL if name != absent))
        direct.wait(100)
        resolved.wait(100)
    assert direct.failures == []
    assert resolved.failures == []


def test_a_hangup_signal_reloads(stage: Stage, members: Members) -> None:
    """SIGHUP does what `dnslb reload` does."""
    daemon = Daemon(stage, members)
    daemon.wait_published(*ALL)
    daemon.configure({"mx2": 0})
    daemon.process.signal(signal.SIGHUP)
    daemon.wait_published("mx1", "mx3", "mx4")


def test_a_broken_file_changes_nothing(stage: Stage, members: Members) -> None:
    """A reload of a broken file says where it is broken, exits 2, and the answers stay as they are."""
    daemon = Daemon(stage, members)
    daemon.wait_published(*ALL)
    with Traffic(daemon.port) as direct:
        daemon.configure({"mx1": 0})
        daemon.config.write_text(daemon.config.read_text().replace("rise = 1", "raise = 1"))
        line = daemon.config.read_text().splitlines().index("raise = 1") + 1
        done = daemon.cli("reload")
        direct.wait(100)
    assert done.returncode == 2
    assert f"dnslb.toml:{line}" in done.stdout + done.stderr
    assert daemon.published() == set(ALL)
    assert direct.failures == []


def test_what_an_operator_says_is_in_the_answers_and_outlives_a_restart(stage: Stage, members: Members) -> None:
    """Draining, maintenance and weight 0 take a member out of the answers, also after a restart; ready puts it back."""
    daemon = Daemon(stage, members)
    daemon.wait_published(*ALL)
    for words in (("drain", "mail/mx1", "--reason", "new disks"), ("maint", "mail/mx2"), ("weight", "mail/mx3", "0")):
        done = daemon.cli(*words)
        assert done.returncode == 0, done.stderr
    daemon.wait_published("mx4")

    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_published("mx4")
    assert daemon.member("mx1")["admin"] == "drain"
    assert daemon.member("mx2")["admin"] == "maint"
    assert daemon.member("mx3")["effective_weight"] == 0

    for words in (("ready", "mail/mx1"), ("ready", "mail/mx2"), ("weight", "mail/mx3", "default")):
        done = daemon.cli(*words)
        assert done.returncode == 0, done.stderr
    daemon.wait_published(*ALL)


def test_a_planned_drain_loses_no_query(stage: Stage, members: Members) -> None:
    """One command: it begins and is undone by itself while queries are answered, and the events tell each step."""
    daemon = Daemon(stage, members)
    daemon.wait_published(*ALL)
    with Traffic(daemon.port) as direct:
        done = daemon.cli("drain", "mail/mx1", "--at", "in 2s", "--for", "4s", "--reason", "new disks")
        assert done.returncode == 0, done.stderr
        daemon.wait_published("mx2", "mx3", "mx4")
        daemon.wait_published(*ALL)
        direct.wait(100)
    assert direct.failures == []
    told = daemon.cli("events", "--pool", "mail").stdout
    assert told.count("new disks") == 3, told


def test_commands_say_that_there_is_no_daemon(stage: Stage, members: Members) -> None:
    """A command that needs the daemon exits 3 when there is none."""
    daemon = Daemon(stage, members)
    daemon.stop()
    assert daemon.cli("status").returncode == 3


def test_a_killed_worker_is_replaced(stage: Stage, members: Members) -> None:
    """When a worker is killed another takes its place, and queries go on being answered."""
    daemon = Daemon(stage, members)
    before = worker_pids(daemon)
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: process_group(killed) is None, "the worker has ended")
    with Traffic(daemon.port) as direct:
        until(lambda: len(worker_pids(daemon) - {killed}) == len(before), "a new worker is there")
        direct.wait(200)
    assert direct.failures == []


def test_workers_answer_without_their_controller_until_a_new_one_takes_over(stage: Stage, members: Members) -> None:
    """Killing the controller loses no query; a new `dnslb run` takes the place of controller and workers."""
    daemon = Daemon(stage, members)
    daemon.wait_published(*ALL)
    orphans = worker_pids(daemon)
    with Traffic(daemon.port) as direct:
        daemon.process.signal(signal.SIGKILL)
        daemon.process.wait()
        direct.wait(200)
    assert direct.failures == []
    assert orphans == {pid for pid in orphans if process_group(pid) is not None}

    daemon.start()
    until(lambda: all(process_group(pid) is None for pid in orphans), "the orphans have ended")
    members.kill("mx1")
    daemon.wait_published("mx2", "mx3", "mx4")


def test_a_stop_signal_ends_everything(stage: Stage, members: Members) -> None:
    """SIGTERM ends the daemon with exit status 0, and leaves no process, no port and no socket behind."""
    daemon = Daemon(stage, members)
    assert daemon.stop() == 0
    assert daemon.process.group() == set()
    assert is_free("127.0.0.1", daemon.port)
    assert not (daemon.directory / "state" / "control.sock").exists()
