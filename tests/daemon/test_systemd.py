"""The service manager hears what sd_notify(3) promises it, and hears no life where there is none."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from dnslb.control.client import DaemonUnreachable
from dnslb.control.protocol import Refused
from dnslb.daemon.systemd import VARIABLES, Systemd
from tests.daemon.conftest import Daemon, until

SECONDS = 30.0


class Manager:
    """The end of the socket that systemd has; `address` as it stands in NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(SECONDS)

    def hear(self) -> list[str]:
        """Return the words of the next message."""
        return self.socket.recv(4096).decode().split("\n")

    def hear_until(self, word: str) -> list[str]:
        """Return the first message that has this word; no other than of life may come before."""
        while word not in (words := self.hear()):
            assert words == ["WATCHDOG=1"]
        return words

    def has_heard(self, *, within: float = 0) -> bool:
        """Say whether there is a message that nobody has read."""
        return bool(select.select([self.socket], [], [], within)[0])

    def forget(self) -> None:
        """Read what is there."""
        while self.has_heard():
            self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Give a service manager that listens."""
    with Manager(str(tmp_path / "notify")) as made:
        yield made


@pytest.fixture
def supervised(daemon: Daemon, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """Give a daemon whose service manager that is, with a patience of 200 ms."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    return daemon


def test_nobody_is_told_without_a_socket() -> None:
    """A daemon that was started by hand tells nobody, and fails at nothing."""
    Systemd.of({}, 7).tell("READY=1")


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """Answers do not depend on who supervises."""
    Systemd(str(tmp_path / "nobody")).tell("READY=1")


@pytest.mark.parametrize("form", ["{}/notify", "@{}"])
def test_words_are_told_as_lines(tmp_path: Path, form: str) -> None:
    """To a socket with a path, and to one in the abstract namespace, whose name begins with @."""
    with Manager(form.format(tmp_path)) as manager:
        Systemd.of({"NOTIFY_SOCKET": manager.address}, 7).tell("READY=1", "STATUS=fine")
        assert manager.hear() == ["READY=1", "STATUS=fine"]


def test_a_manager_that_does_not_listen_holds_nobody_up(manager: Manager) -> None:
    """When its queue is full the words are lost, and not the answers."""
    for _ in range(10_000):
        Systemd(manager.address).tell("WATCHDOG=1")
    assert manager.hear() == ["WATCHDOG=1"]


async def test_life_is_shown_as_long_as_the_loop_runs(manager: Manager) -> None:
    """Again and again; while the loop is held up there is no word, and then there is again."""
    showing = asyncio.create_task(
        Systemd.of({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000"}, 7).show_life()
    )
    for _ in range(3):
        assert await asyncio.to_thread(manager.hear) == ["WATCHDOG=1"]
    manager.forget()
    assert not manager.has_heard(within=0.1)  # this waits in the loop's own thread
    assert await asyncio.to_thread(manager.hear) == ["WATCHDOG=1"]
    showing.cancel()


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}])
async def test_no_life_is_shown_to_who_does_not_watch(manager: Manager, watchdog: dict[str, str]) -> None:
    """Nor if it watches another process, of which this one has the environment."""
    await Systemd.of({"NOTIFY_SOCKET": manager.address, **watchdog}, 7).show_life()
    assert not manager.has_heard()


def test_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started from here does not speak for this process."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "0")
    Systemd.taken()
    assert not os.environ.keys() & set(VARIABLES)


async def test_a_reload_that_fails_is_over_too(manager: Manager) -> None:
    """The manager is not left waiting for the end of it."""
    with pytest.raises(ValueError, match="bad file"):
        async with Systemd(manager.address).reloading():
            raise ValueError("bad file")
    assert manager.hear()[0] == "RELOADING=1"
    assert manager.hear() == ["READY=1"]


def started(daemon: Daemon) -> list[int]:
    """Return the worker processes of a daemon that may still be starting."""
    try:
        return [worker["pid"] for worker in daemon.call("status")["workers"] if worker["pid"]]
    except (DaemonUnreachable, Refused):
        return []


def generations(daemon: Daemon) -> list[int]:
    """Return what each worker answers from, in rising order; 0 before it does."""
    return sorted(worker["generation"] for worker in daemon.call("status")["workers"])


def test_ready_is_told_when_all_workers_answer(supervised: Daemon, manager: Manager) -> None:
    """Not when the first of them does: whoever is started after us may rely on each address."""
    supervised.values["workers"] = 2
    process = supervised.launch()
    last = until(lambda: started(supervised)[1:], "both workers are started")[0]
    os.kill(last, signal.SIGSTOP)
    until(lambda: generations(supervised) == [0, 1], "one of them answers")
    assert not manager.has_heard()
    os.kill(last, signal.SIGCONT)
    assert manager.hear()[0] == "READY=1"
    assert generations(supervised) == [1, 1]
    supervised.begin(process)


def test_a_run_is_told_from_beginning_to_end(supervised: Daemon, manager: Manager) -> None:
    """Ready with the addresses, each reload with its end, and the stop."""
    supervised.start()
    assert manager.hear_until("READY=1") == ["READY=1", f"STATUS=Answering on 127.0.0.1:{supervised.port}"]
    supervised.call("reload")
    while (words := manager.hear()) == ["WATCHDOG=1"]:
        pass
    assert words[0] == "RELOADING=1"
    manager.hear_until("READY=1")
    assert supervised.stop() == 0
    manager.hear_until("STOPPING=1")


def test_workers_do_not_speak_for_the_controller(supervised: Daemon) -> None:
    """They know nothing of the socket."""
    supervised.start()
    (worker,) = supervised.worker_pids()
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()


def test_a_controller_that_hangs_falls_silent_and_says_where(supervised: Daemon, manager: Manager) -> None:
    """Then the watchdog's SIGABRT ends it with a traceback in the log, and the workers answer on."""
    process = supervised.start()
    manager.hear_until("READY=1")
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
    manager.forget()
    assert not manager.has_heard(within=0.4)
    process.send_signal(signal.SIGCONT)
    assert manager.hear() == ["WATCHDOG=1"]
    process.send_signal(signal.SIGABRT)
    assert process.wait(30) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in supervised.stderr()
    assert supervised.members_in_answer() == {"mx1", "mx2"}
