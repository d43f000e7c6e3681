"""One daemon takes the place of another: nothing is lost and nothing goes back, whoever dies when."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from dnslb.control.client import call
from dnslb.control.protocol import Refused
from tests.daemon.conftest import ADDRESSES, Daemon, runs, until

_SOURCES = 3
_PAUSE_SECONDS = 0.01
INTERRUPTED = """
import asyncio, inspect, os, sys
from dnslb.cli.main import main
from dnslb.control.handover import Predecessor
from dnslb.daemon.workers import Workers
from dnslb.store import Store
owner, name = {point}
whole = getattr(owner, name)
def interrupted(*args, **words):
    setattr(owner, name, whole)
    os.kill(os.getpid(), {number})
    return whole(*args, **words)
setattr(owner, name, staticmethod(interrupted) if inspect.ismethod(whole) else interrupted)
del sys.argv[1:4]
main()
"""
"""Runs the command behind `python -m dnslb`, which sends itself a signal when it has come so far."""
IMPATIENT = """
import sys
from dnslb.cli.main import main
from dnslb.daemon import process
process._PATIENCE_WITH_START_SECONDS, process._PATIENCE_WITH_SUCCESSOR_SECONDS = 3.0, 0.2
del sys.argv[1:4]
main()
"""
"""Does the same, but waits for little."""
BEFORE_IT_ANSWERS = {
    "has asked": 'Predecessor, "_received"',
    "has been given all": 'Store, "open"',
    "starts workers": 'Workers, "distribute"',
    "answers": 'Predecessor, "dismiss"',
}
POINTS = {
    **BEFORE_IT_ANSWERS,
    "has said that it answers": 'asyncio.SelectorEventLoop, "sock_recv"',
    "lets go of the state": 'Store, "close"',
}


def interrupted(daemon: Daemon, point: str, number: signal.Signals) -> subprocess.Popen[bytes]:
    """Start one that is to take the place of the other, and is sent a signal at a point of POINTS."""
    script = INTERRUPTED.format(point=POINTS[point], number=int(number))
    return daemon.launch(sys.executable, "-c", script, replace=True)


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process stands still, or has ended; say whether it stands still."""
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return process.poll() is None


def replaced(daemon: Daemon, old: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Have another one take the place of the old one, which ends well."""
    process = daemon.begin(daemon.launch(replace=True))
    assert old.wait(30) == 0
    return process


def written_down(daemon: Daemon) -> set[int]:
    """Return all workers of whomever that run."""
    known = json.loads((daemon.state / "workers.json").read_text())
    return {int(pid) for place in known for pid in place if runs(int(pid))}


def is_alone(daemon: Daemon) -> bool:
    """Say whether the workers of the daemon that we can talk to are all that there are."""
    workers = daemon.worker_pids()
    return bool(workers) and all(workers) and written_down(daemon) == set(workers)


def ask_over_udp(daemon: Daemon, source: str) -> dns.message.Message:
    """Ask once and wait for the answer."""
    query = dns.message.make_query("relay.lb.test", "A")
    return dns.query.udp(query, "127.0.0.1", timeout=20, port=daemon.port, source=source)


def ask_over_tcp(daemon: Daemon, source: str) -> dns.message.Message:
    """Ask once over a new connection and wait for the answer."""
    query = dns.message.make_query("relay.lb.test", "A")
    return dns.query.tcp(query, "127.0.0.1", timeout=20, port=daemon.port, source=source)


@contextmanager
def asking(daemon: Daemon, expected: set[str] | None = None) -> Iterator[list[str]]:
    """Ask all the time while the block lasts; gives what was not answered, or not with all addresses."""
    wanted = expected or {ADDRESSES["mx1"], ADDRESSES["mx2"]}
    failed: list[str] = []
    end = Event()

    def go_on(ask: Callable[[Daemon, str], dns.message.Message], source: str) -> None:
        while not end.wait(_PAUSE_SECONDS):
            try:
                found = ask(daemon, source)
            except (OSError, EOFError, dns.exception.DNSException) as error:
                failed.append(f"{ask.__name__}: {error!r}")
                continue
            addresses = {record.address for rrset in found.answer for record in rrset}
            if found.rcode() != dns.rcode.NOERROR or addresses != wanted:
                failed.append(f"{ask.__name__}: {found}")

    askers = (ask_over_udp, ask_over_tcp)
    threads = [
        Thread(target=go_on, args=(ask, f"127.0.3.{place}")) for ask in askers for place in range(1, 1 + _SOURCES)
    ]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_a_replace_loses_nothing(daemon: Daemon) -> None:
    """No query, no state; the old one ends with its workers, and both doors are where they were."""
    old = daemon.start(workers=2)
    daemon.call("weight", pool="mail", member="mx1", weight=7, reason="try")
    before, serial, workers = daemon.call("status"), daemon.serial(), daemon.worker_pids()
    http = daemon.logged("http")["address"]
    with asking(daemon) as failed:
        new = replaced(daemon, old)
        until(lambda: not any(map(runs, workers)), "the old workers have gone")
    assert failed == []
    after = daemon.call("status")
    assert new.poll() is None
    assert after["generation"] > before["generation"]
    assert after["listen"] == before["listen"]
    assert after["steering"] == "source"
    assert 0 < daemon.serial() - serial < 1000
    for name in ("mx1", "mx2"):
        was, now = (status["pools"]["mail"]["members"][name] for status in (before, after))
        told = ("admin", "state", "weight", "effective_weight", "since", "published", "share")
        assert {key: now[key] for key in told} == {key: was[key] for key in told}
    assert urllib.request.urlopen(f"http://{http}/metrics", timeout=20).status == 200
    events = [event["text"] for event in daemon.call("events")]
    assert any(text.endswith(f"hands over to process {new.pid}") for text in events)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (1, 2), (2, 1)])
def test_the_number_of_workers_may_change(daemon: Daemon, before: int, after: int) -> None:
    """Sockets that are too many are drained, and new ones have readers before they are asked."""
    old = daemon.start(workers=before)
    daemon.values["workers"] = after
    with asking(daemon) as failed:
        replaced(daemon, old)
        until(lambda: len(daemon.worker_pids()) == after, "all workers")
    assert failed == []


def test_what_is_listened_on_may_change(daemon: Daemon) -> None:
    """An address that stays loses nothing; one that is new is answered on, one that is gone is free."""
    old = daemon.start(workers=2)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    daemon.values["listen_too"] = f', "127.0.0.1:{port}"'
    with asking(daemon) as failed:
        new = replaced(daemon, old)
        found = dns.query.udp(dns.message.make_query("relay.lb.test", "A"), "127.0.0.1", timeout=20, port=port)
        assert found.rcode() == dns.rcode.NOERROR
        daemon.values["listen_too"] = ""
        replaced(daemon, new)
        until(lambda: is_alone(daemon), "only the last workers are left")
    assert failed == []
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_wrong_file_leaves_the_old_one_alone(daemon: Daemon) -> None:
    """It is read before anything is asked for."""
    old = daemon.start(workers=1)
    right = dict(daemon.values)
    daemon.values["interval"] = "never"
    assert daemon.launch(replace=True).wait(30) == 2
    daemon.values = right
    assert old.poll() is None
    assert daemon.call("status")["uptime_s"] > 0
    assert not [event for event in daemon.call("events") if event["kind"] == "stop"]


@pytest.mark.parametrize("what", ["listen", "http"])
def test_one_that_cannot_start_gives_all_back(daemon: Daemon, what: str) -> None:
    """A port that is taken is found out when the old one has handed over: that goes on, with all that it had."""
    old = daemon.start(workers=1)
    http = daemon.logged("http")["address"]
    right = dict(daemon.values)
    with socket.create_server(("127.0.0.1", 0)) as taken, asking(daemon) as failed:
        port = taken.getsockname()[1]
        daemon.values |= {"listen_too": f', "127.0.0.1:{port}"'} if what == "listen" else {"http": port}
        assert daemon.launch(replace=True).wait(30) == 1
        assert "cannot listen" in daemon.stderr()
        daemon.values = right
        until(lambda: is_alone(daemon), "only workers of the old one are left")
    assert failed == []
    assert old.poll() is None
    assert urllib.request.urlopen(f"http://{http}/metrics", timeout=20).status == 200


def test_with_nobody_to_replace_it_starts(daemon: Daemon) -> None:
    """And says so."""
    daemon.begin(daemon.launch(replace=True))
    assert "no dnslb runs here" in daemon.logged("nobody_to_replace")["reason"]
    assert daemon.members_in_answer() == {"mx1", "mx2"}


@pytest.mark.parametrize("point", BEFORE_IT_ANSWERS)
def test_if_the_new_one_dies_the_old_one_goes_on(daemon: Daemon, point: str) -> None:
    """Whatever it had done; its workers end, serials do not go back, and the next one may try again."""
    old = daemon.start(workers=2)
    daemon.call("admin", pool="mail", member="mx1", state="drain", reason="try")
    daemon.call("admin", pool="mail", member="mx1", state="ready", reason="tried")
    serial = daemon.serial()
    with asking(daemon) as failed:
        new = interrupted(daemon, point, signal.SIGSTOP)
        assert is_stopped(new)
        given_out = daemon.serial()
        new.kill()
        new.wait(30)
        until(lambda: is_alone(daemon), "only workers of the old one are left")
        assert old.poll() is None
        assert daemon.serial() > max(serial, given_out)
        replaced(daemon, old)
    assert failed == []
    assert daemon.member("mx1")["admin"] == "ready"


@pytest.mark.parametrize("point", [*BEFORE_IT_ANSWERS, "has said that it answers"])
def test_if_the_old_one_dies_the_new_one_goes_on(daemon: Daemon, point: str) -> None:
    """Its workers answer until those of the new one do, and then they are ended."""
    old = daemon.start(workers=2)
    workers, serial = daemon.worker_pids(), daemon.serial()
    with asking(daemon) as failed:
        new = interrupted(daemon, point, signal.SIGSTOP)
        assert is_stopped(new)
        old.kill()
        old.wait(30)
        new.send_signal(signal.SIGCONT)
        daemon.begin(new)
        until(lambda: not any(map(runs, workers)), "the old workers have gone")
        assert daemon.serial() > serial
    assert failed == []


def test_if_the_new_one_dies_when_it_answers_its_workers_go_on(daemon: Daemon) -> None:
    """The old one has gone by then; the next start finds the workers, and loses nothing either."""
    old = daemon.start(workers=2)
    with asking(daemon) as failed:
        new = interrupted(daemon, "has said that it answers", signal.SIGSTOP)
        assert is_stopped(new)
        assert old.wait(30) == 0
        new.kill()
        new.wait(30)
        daemon.start()
        until(lambda: is_alone(daemon), "only the last workers are left")
    assert failed == []


def test_one_that_hangs_is_ended_and_the_old_one_goes_on(daemon: Daemon) -> None:
    """Nobody probes while it holds the state, so it may not take for ever; it does not even hear that it is to stop."""
    daemon.configure(workers=1)
    old = daemon.begin(daemon.launch(sys.executable, "-c", IMPATIENT))
    with asking(daemon) as failed:
        new = interrupted(daemon, "has been given all", signal.SIGSTOP)
        assert new.wait(30) == -signal.SIGKILL
        until(lambda: is_alone(daemon), "the old one has its workers again")
        replaced(daemon, old)
    assert failed == []


def test_who_hands_over_reads_nothing_again(daemon: Daemon) -> None:
    """The new one reads it all, and gives out other serials than the old one's workers would with it."""
    daemon.configure(workers=1)
    old = daemon.begin(interrupted(daemon, "lets go of the state", signal.SIGHUP))
    replaced(daemon, old)
    logged = [json.loads(line)["event"] for line in (daemon.directory / "stderr0").read_text().splitlines()]
    assert "replaced" in logged
    assert "reloaded" not in logged


def test_a_stop_in_the_middle_stops_both(daemon: Daemon) -> None:
    """Who stops the old one wants no daemon at all, and no process is left."""
    old = daemon.start(workers=2)
    workers = daemon.worker_pids()
    new = interrupted(daemon, "starts workers", signal.SIGSTOP)
    assert is_stopped(new)
    old.terminate()
    assert old.wait(30) == 0
    new.send_signal(signal.SIGCONT)
    assert new.wait(30) == 0
    until(lambda: not any(map(runs, workers)), "the workers have gone")
    assert written_down(daemon) == set()


def test_a_stop_when_the_new_one_has_died_leaves_nothing(daemon: Daemon) -> None:
    """The workers of both end, also while the old one is just taking its place back."""
    old = daemon.start(workers=2)
    new = interrupted(daemon, "answers", signal.SIGSTOP)
    assert is_stopped(new)
    assert len(written_down(daemon)) == 4
    new.kill()
    new.wait(30)
    old.terminate()
    assert old.wait(30) == 0
    until(lambda: not written_down(daemon), "all workers have gone")


def test_a_stop_of_the_new_one_leaves_the_old_one_alone(daemon: Daemon) -> None:
    """Before it answers it is not needed."""
    old = daemon.start(workers=2)
    workers = daemon.worker_pids()
    with asking(daemon) as failed:
        new = interrupted(daemon, "starts workers", signal.SIGSTOP)
        assert is_stopped(new)
        new.terminate()
        new.send_signal(signal.SIGCONT)
        assert new.wait(30) == 0
        until(lambda: is_alone(daemon), "only workers of the old one are left")
    assert failed == []
    assert old.poll() is None
    assert not any(map(runs, workers))


def test_one_is_replaced_by_one(daemon: Daemon) -> None:
    """Who asks meanwhile waits for the daemon that there will be."""
    old = daemon.start(workers=1)
    new = interrupted(daemon, "starts workers", signal.SIGSTOP)
    assert is_stopped(new)
    third = daemon.launch(replace=True)
    new.send_signal(signal.SIGCONT)
    daemon.begin(third)
    assert [old.wait(30), new.wait(30)] == [0, 0]
    assert daemon.members_in_answer() == {"mx1", "mx2"}


def test_what_is_asked_meanwhile_is_answered_by_the_new_one(daemon: Daemon) -> None:
    """An operator's change waits at the door, and is made once."""
    daemon.start(workers=1)
    new = interrupted(daemon, "starts workers", signal.SIGSTOP)
    assert is_stopped(new)
    found: list[object] = []

    def drain() -> None:
        args = {"pool": "mail", "member": "mx2", "state": "drain", "reason": ""}
        found.append(call(daemon.state / "control.sock", "admin", args, timeout=30)["admin"])

    asker = Thread(target=drain)
    asker.start()
    new.send_signal(signal.SIGCONT)
    asker.join()
    daemon.begin(new)
    assert found == ["drain"]
    assert daemon.members_in_answer() == {"mx1"}


def test_a_countdown_goes_on(daemon: Daemon) -> None:
    """Who was drained before the replace is safe to stop at the same time."""
    old = daemon.start(workers=1, ttl=300)
    daemon.call("admin", pool="mail", member="mx2", state="drain", reason="")
    before = daemon.member("mx2")["drain"]
    replaced(daemon, old)
    until(lambda: daemon.logged("replaced_workers_left_behind"), "the old workers have gone")
    after = daemon.member("mx2")["drain"]
    for key in ("since", "caches_expire", "clients_expire"):
        was, now = (datetime.fromisoformat(drain[key]) for drain in (before, after))
        assert abs(now - was) <= timedelta(seconds=1), key
    assert daemon.members_in_answer() == {"mx1"}


def test_an_unknown_version_is_refused(daemon: Daemon) -> None:
    """A later dnslb may hand over other things; this one runs on."""
    daemon.start(workers=1)
    with pytest.raises(Refused, match="does not hand over in the way"):
        daemon.call("replace", version=99, state=str(daemon.state))
    assert daemon.members_in_answer() == {"mx1", "mx2"}


def test_another_state_is_refused(daemon: Daemon) -> None:
    """It is handed over by its directory."""
    daemon.start(workers=1)
    with pytest.raises(Refused, match="its state is in"):
        daemon.call("replace", version=1, state="/elsewhere")
