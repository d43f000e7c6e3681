"""What stops a daemon from starting, and what does not."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.e2e.product import Daemon

if TYPE_CHECKING:
    from tests.e2e.members import Members
    from tests.e2e.processes import Stage


def test_a_taken_port_is_one_clear_error(stage: Stage, members: Members) -> None:
    """A daemon whose port another program has says so in one line that names the port, and ends."""
    daemon = Daemon(stage, members)
    daemon.stop()
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", daemon.port))
        done = daemon.cli("run")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{daemon.port}" in done.stderr


def test_a_second_daemon_leaves_the_first_alone(stage: Stage, members: Members) -> None:
    """A second daemon with the same state directory ends with one line, and the first goes on."""
    daemon = Daemon(stage, members)
    done = daemon.cli("run")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(daemon.process.pid) in done.stderr
    assert daemon.status()["workers"]


def test_an_unusable_state_directory_is_one_clear_error(stage: Stage, members: Members) -> None:
    """A state directory that cannot be made is named in one line, and the daemon ends."""
    daemon = Daemon(stage, members)
    daemon.stop()
    daemon.config.write_text(daemon.config.read_text().replace('state = "state"', 'state = "lb.test.zone/state"'))
    done = daemon.cli("run")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(daemon.directory / "lb.test.zone" / "state") in done.stderr


def test_a_corrupt_database_is_set_aside(stage: Stage, members: Members) -> None:
    """A damaged state database is kept under another name, and the daemon starts with a new one."""
    daemon = Daemon(stage, members)
    daemon.stop()
    state = daemon.directory / "state"
    databases = list(state.glob("*.db"))
    assert databases
    for path in databases:
        path.write_bytes(b"no database" * 1000)
    daemon.start()
    daemon.wait_published(*members.addresses)
    kept = [path for path in state.iterdir() if path.is_file() and path.read_bytes() == b"no database" * 1000]
    assert len(kept) == len(databases)
