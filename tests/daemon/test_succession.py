"""Who may have the place of a daemon, and what it gets."""

import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest

from dnslb.control.handover import Given, Successor
from dnslb.daemon import succession
from dnslb.daemon.succession import Estate
from dnslb.daemon.systemd import Systemd
from dnslb.server.sockets import Group

HERE = Path("/var/lib/dnslb")
RIGHT = {"version": 1, "state": str(HERE)}


class Asker:
    """A process that asks for the place."""

    def __init__(self, uid: int | None = None, pid: int | None = None, **args: object) -> None:
        self.uid = os.geteuid() if uid is None else uid
        self.pid = os.getpid() if pid is None else pid
        self.args = RIGHT | args

    def refused(self, systemd: Systemd | None = None) -> str:
        """Return why it may not have it."""
        return succession.why_not(cast("Successor", self), HERE, systemd or Systemd())


def test_the_same_user_and_root_may() -> None:
    """With the right version and the same state."""
    assert Asker().refused() == ""
    assert Asker(uid=0).refused() == ""


def test_others_may_not() -> None:
    """Though somebody may have let them use the control socket: what they would get are sockets."""
    assert Asker(uid=os.geteuid() + 1).refused() == "only root and the user that runs it may"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_may_not(version: object) -> None:
    """It would take other things for what it gets."""
    assert "does not hand over in the way that this one asks for" in Asker(version=version).refused()


def test_another_state_may_not() -> None:
    """What people have said is in it."""
    assert "its state is in /var/lib/dnslb" in Asker(state="/srv").refused()


def test_the_first_process_of_a_container_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it everything in it would end, the new daemon too."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert "first process of its container" in Asker(pid=2).refused()


def test_a_service_stays_in_its_unit() -> None:
    """A process that is not there, or in another control group, is none of the unit."""
    manager = Systemd("/run/systemd/notify")
    assert Asker().refused(manager) == ""
    assert "use `systemctl restart`" in Asker(pid=4194999).refused(manager)


@pytest.fixture
def socks() -> Iterator[list[socket.socket]]:
    """Give sockets that are closed afterwards."""
    made = [socket.socket() for _ in range(7)]
    yield made
    for sock in made:
        sock.close()


async def nothing() -> None:
    """Have nobody go."""


@pytest.mark.parametrize("http", [True, False])
def test_what_is_given_is_read_as_it_was(socks: list[socket.socket], *, http: bool) -> None:
    """Addresses of both families, kinds in different numbers, with the door for HTTP or without."""
    first, second, third, fourth, fifth, control, door = socks
    estate = Estate(
        groups=(
            Group(ip_address("127.0.0.1"), 53, (first, second), (third,), lent=True),
            Group(ip_address("::1"), 5300, (fourth,), (fifth,)),
        ),
        control=control,
        http=door if http else None,
        generation=7,
        last_good={"mail": frozenset({"mx2", "mx1"}), "other": frozenset()},
        systemd=Systemd("@notify", 30.0),
        end=nothing,
    )
    found = Estate.of(Given(estate.given().facts, estate.given().sockets), nothing)
    assert (found.groups, found.control, found.http) == (estate.groups, estate.control, estate.http)
    assert (found.generation, found.last_good, found.end) == (7, estate.last_good, nothing)
    assert (found.systemd.address, found.systemd.watchdog) == ("@notify", 30.0)
