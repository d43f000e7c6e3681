"""A state directory whose disk is full, read-only or taken away, under a daemon that runs: mail must not notice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from dnslb.control.protocol import Refused
from tests.daemon.conftest import Daemon, prepared
from tests.e2e.processes import missing, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITH_A_DISK = 'mount -t tmpfs -o size=8m,mode=700 tmpfs "$0" && echo ready && exec sleep infinity'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon that is not started, with three members in its pool."""
    with prepared(tmp_path) as made:
        made.weights = {"mx1": 50, "mx2": 50, "mx3": 50}
        yield made


class Disk:
    """A small disk that is the state directory of a daemon, in a mount namespace of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        daemon.state.mkdir(mode=0o700)
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", WITH_A_DISK, str(daemon.state)], stdout=subprocess.PIPE
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"ready\n"
        self.inside = ["nsenter", f"--target={self._keeper.pid}", "--mount", "--"]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the disk is."""
        return subprocess.run([*self.inside, *command], capture_output=True, text=True, timeout=60, check=False)

    def dnslb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the operator there."""
        return self.run(sys.executable, "-m", "dnslb", *words, "-c", str(self._daemon.config))

    def start(self) -> None:
        """Start the daemon there, and wait until it answers."""
        process = self._daemon.launch(*self.inside)
        until(lambda: self._daemon.logged("ready", process), "the daemon is ready")
        self._daemon.port = int(self._daemon.logged("ready")["listen"][0].rpartition(":")[2])

    def fill(self) -> None:
        """Use up all that is left."""
        assert "No space left" in self.run("cp", "/dev/zero", f"{self._daemon.state}/filler").stderr

    def free(self) -> None:
        """Give it back."""
        self.run("rm", f"{self._daemon.state}/filler").check_returncode()

    def remount(self, how: str) -> None:
        """Have it read-only ("ro"), or not ("rw")."""
        self.run("mount", "-o", f"remount,{how}", str(self._daemon.state)).check_returncode()

    def end(self) -> None:
        """Take it away."""
        self._keeper.kill()
        self._keeper.communicate()


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Disk]:
    """Give the daemon a disk of its own for its state."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        missing("the right to make a mount namespace (root)")
    made = Disk(daemon)
    yield made
    made.end()


def told(daemon: Daemon, event: str) -> int:
    """Return how many log lines there are of an event."""
    return sum(line["event"] == event for line in daemon.log())


def failing(daemon: Daemon) -> bool:
    """Return what the metric says."""
    with urllib.request.urlopen(f"http://{daemon.logged('http')['address']}/metrics", timeout=20) as response:
        return b"\ndnslb_state_failing 1.0\n" in response.read()


def test_a_full_disk_stops_neither_answers_nor_probes(daemon: Daemon, disk: Disk) -> None:
    """One alert; a drain is refused and not half done; with room again it is done, and a restart knows all of it."""
    disk.start()
    assert daemon.members_in_answer() == {"mx1", "mx2", "mx3"}
    disk.fill()
    daemon.members.close("mx1")
    until(lambda: daemon.members_in_answer() == {"mx2", "mx3"}, "mx1 leaves")
    for _ in range(2):
        refused = disk.dnslb("drain", "mail/mx2")
        assert refused.returncode == 1
        assert f"nothing was changed: the state cannot be kept in {daemon.state}: No space left" in refused.stderr
        assert daemon.members_in_answer() == {"mx2", "mx3"}
    assert "NOT KEPT" in disk.dnslb("status").stdout
    assert failing(daemon)
    events = disk.dnslb("events").stdout
    assert "mx1 is down" in events
    assert (told(daemon, "state_failing"), events.count("No space left on device")) == (1, 1)

    disk.free()
    assert disk.dnslb("drain", "mail/mx2").returncode == 0
    assert daemon.members_in_answer() == {"mx3"}
    until(lambda: told(daemon, "state_kept_again"), "it is over")
    assert not failing(daemon)
    assert daemon.stop() == 0

    daemon.members.open("mx1")
    disk.start()
    until(lambda: daemon.members_in_answer() == {"mx1", "mx3"}, "mx1 is back, and mx2 is not")
    events = disk.dnslb("events").stdout
    texts = ("mx1 is down", "No space left on device", "the state is kept again", "mx2 set to drain")
    assert [events.count(text) for text in texts] == [1, 1, 1, 1]


def test_a_start_on_a_read_only_disk_obeys_what_is_on_it(daemon: Daemon, disk: Disk) -> None:
    """Who was drained stays out; nobody can reach the control socket, which comes by itself when the disk is mended."""
    disk.start()
    disk.dnslb("drain", "mail/mx2").check_returncode()
    serial = daemon.serial()
    assert daemon.stop() == 0
    disk.remount("ro")
    disk.start()
    assert daemon.members_in_answer() == {"mx1", "mx3"}
    assert daemon.serial() > serial
    assert failing(daemon)
    assert (told(daemon, "state_failing"), told(daemon, "control_unreachable")) == (1, 1)
    daemon.members.close("mx1")
    until(lambda: daemon.members_in_answer() == {"mx3"}, "mx1 leaves")
    assert disk.dnslb("drain", "mail/mx3").returncode == 3
    disk.remount("rw")
    until(lambda: told(daemon, "control_reachable_again"), "the socket is there", seconds=60)
    assert not failing(daemon)
    assert disk.dnslb("ready", "mail/mx2").returncode == 0
    assert daemon.members_in_answer() == {"mx2", "mx3"}
    events = disk.dnslb("events").stdout
    assert all(text in events for text in ("mx2 set to drain", "mx1 is down", "Read-only file system"))


def test_a_start_on_a_full_disk_answers(daemon: Daemon, disk: Disk) -> None:
    """From the configuration, as nothing else was ever there; as soon as there is room all files are."""
    disk.fill()
    disk.start()
    assert daemon.members_in_answer() == {"mx1", "mx2", "mx3"}
    assert failing(daemon)
    disk.free()
    disk.dnslb("drain", "mail/mx1").check_returncode()
    until(lambda: not failing(daemon), "all is written")
    files = disk.run("ls", str(daemon.state)).stdout.split()
    assert {"state.json", "state.copy.json", "events.db", "cookies.secret", "workers.json"} <= set(files)


def test_what_is_done_to_the_files_is_undone(daemon: Daemon) -> None:
    """They are written over and removed while the daemon runs; a kill later the next one knows who is drained."""
    daemon.start()
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    for name in ("state.json", "state.copy.json", "events.db"):
        with (daemon.state / name).open("r+b") as file:
            file.write(b"\xa5" * 4096)
    daemon.call("admin", pool="mail", member="mx2", state="drain")
    assert kill_and_start(daemon) == {"mx3"}

    # Renamed first, for what the daemon writes meanwhile would keep it there.
    shutil.rmtree(daemon.state.rename(daemon.directory / "gone"))
    daemon.members.close("mx3")
    until(lambda: daemon.members_in_answer() == {"mx1", "mx2"}, "mx3 leaves, and those drained are better than nothing")
    until((daemon.state / "control.sock").exists, "operators can reach it again", seconds=60)
    assert any("was removed, and is made anew" in event["text"] for event in daemon.call("events"))
    files = {"state.json", "state.copy.json", "events.db", "cookies.secret", "workers.json"}
    until(lambda: files <= {path.name for path in daemon.state.iterdir()}, "all is there again")
    daemon.members.open("mx3")
    until(lambda: daemon.members_in_answer() == {"mx3"}, "mx3 is back")
    assert kill_and_start(daemon) == {"mx3"}


def kill_and_start(daemon: Daemon) -> set[str]:
    """Kill the controller, start another one, and return who is in its first answer."""
    daemon.kill()
    daemon.start()
    return daemon.members_in_answer()


def test_a_file_of_events_that_another_has_locked_is_waited_for(daemon: Daemon) -> None:
    """The daemon starts, what people want is done and remembered, and events are written when they can be."""
    daemon.start()
    assert daemon.stop() == 0
    with sqlite3.connect(daemon.state / "events.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        daemon.start()
        until(lambda: "database is locked" in (daemon.call("status")["state_failing"] or ""), "it is told")
        daemon.call("admin", pool="mail", member="mx1", state="drain")
        assert daemon.members_in_answer() == {"mx2", "mx3"}
        other.execute("ROLLBACK")
    other.close()
    daemon.call("admin", pool="mail", member="mx2", state="drain")
    assert daemon.call("status")["state_failing"] is None
    texts = [event["text"] for event in daemon.call("events", after=0, limit=1000)]
    assert sum(text.startswith("mx1 set to drain") for text in texts) == 1
    assert kill_and_start(daemon) == {"mx3"}


HANGS = """
import os, runpy, sys, time
hanging, real = sys.argv[1], os.fsync
def fsync(descriptor):
    while os.path.exists(hanging):
        time.sleep(0.02)
    real(descriptor)
os.fsync = fsync
sys.argv = ["dnslb", *sys.argv[5:]]
runpy.run_module("dnslb", run_name="__main__")
"""
"""A daemon whose disk does not answer while a file is there: no real one would do so on demand."""


def test_a_disk_that_hangs_stops_neither_answers_nor_probes(daemon: Daemon) -> None:
    """A drain is refused after a while, then at once, and done when the disk answers again. A stop waits little."""
    hanging = daemon.directory / "hanging"
    daemon.begin(daemon.launch(sys.executable, "-c", HANGS, str(hanging)))
    hanging.touch()
    for _ in range(2):
        with pytest.raises(Refused, match=r"nothing was changed: the state cannot be kept in .*: it does not answer"):
            daemon.call("admin", pool="mail", member="mx1", state="drain")
    assert daemon.members_in_answer() == {"mx1", "mx2", "mx3"}
    daemon.members.close("mx2")
    until(lambda: daemon.members_in_answer() == {"mx1", "mx3"}, "mx2 leaves")
    assert "does not answer" in daemon.call("status")["state_failing"]
    assert told(daemon, "state_failing") == 1
    hanging.unlink()
    until(lambda: told(daemon, "state_kept_again"), "it is over, and nobody had to do anything")
    daemon.call("admin", pool="mail", member="mx1", state="drain")
    assert daemon.members_in_answer() == {"mx3"}
    hanging.touch()
    assert daemon.stop() == 0
