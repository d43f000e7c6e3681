"""Steering in the running daemon: resolvers keep their workers, also over a change of controllers, and it is said."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import dns.exception
import dns.message
import dns.query
import pytest

from tests.daemon.conftest import Daemon, runs, until

SOURCES = [f"127.0.{n}.{7 * n}" for n in range(1, 31)]
PORTS = 4
UNSTEERED = """
import sys
from dnslb.server import steering
steering._SO_ATTACH_REUSEPORT_CBPF = 9999
from dnslb.cli.main import main
del sys.argv[1:4]
main()
"""
"""Runs the command behind `python -m dnslb` on a kernel that does not know the option."""


def ask(daemon: Daemon, source: str) -> None:
    """Ask from a new port of the source, and wait for the answer."""
    message = dns.message.make_query("relay.lb.test", "A")
    dns.query.udp(message, "127.0.0.1", timeout=20, port=daemon.port, source=source)


def whose(daemon: Daemon, source: str) -> set[int]:
    """Return the places of the workers that count some queries of the source."""
    before = [worker["queries"] for worker in daemon.call("status")["workers"]]
    for _ in range(PORTS):
        ask(daemon, source)
    after = [worker["queries"] for worker in daemon.call("status")["workers"]]
    assert sum(after) == sum(before) + PORTS
    return {place for place, (new, old) in enumerate(zip(after, before, strict=True)) if new > old}


def is_settled(daemon: Daemon, old: list[int]) -> bool:
    """Say whether workers that were left behind are forgotten."""
    known = json.loads((daemon.state / "workers.json").read_text())
    return not any(str(pid) in place for place in known for pid in old)


@contextmanager
def asking(daemon: Daemon) -> Iterator[list[str]]:
    """Have all sources ask in turn, at least once each, for as long as the block lasts; gives who got no answer."""
    failed: list[str] = []
    end = Event()

    def go_on() -> None:
        while True:
            for source in SOURCES:
                try:
                    ask(daemon, source)
                except (OSError, dns.exception.DNSException) as error:
                    failed.append(f"{source}: {error!r}")
            if end.is_set():
                return

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield failed
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (1, 2)])
def test_a_takeover_loses_no_query_and_leaves_each_source_one_worker(daemon: Daemon, before: int, after: int) -> None:
    """Those left behind answer until the new ones do, and are asked no more when they go."""
    process = daemon.start(workers=before)
    old = daemon.worker_pids()
    with asking(daemon) as failed:
        process.kill()
        process.wait(30)
        daemon.start(workers=after)
        until(lambda: not any(map(runs, old)), "the old ones end")
        until(lambda: is_settled(daemon, old), "the new ones have their places")
    assert failed == []
    found = [whose(daemon, source) for source in SOURCES]
    assert [len(places) for places in found] == [1] * len(SOURCES)
    assert set.union(*found) == set(range(after))


def test_a_worker_that_was_left_behind_and_hangs_is_ended(daemon: Daemon) -> None:
    """Nothing is asked of it as soon as others answer, and after five seconds it is killed."""
    process = daemon.start(workers=1)
    (old,) = daemon.worker_pids()
    process.kill()
    process.wait(30)
    os.kill(old, signal.SIGSTOP)
    daemon.start(workers=2)
    with asking(daemon) as failed:
        assert runs(old)
    assert failed == []
    until(lambda: is_settled(daemon, [old]), "the new ones have their places")
    assert not runs(old)
    assert [len(whose(daemon, source)) for source in SOURCES] == [1] * len(SOURCES)


def test_steering_is_told(daemon: Daemon) -> None:
    """In the log, in the status and among the optional parts."""
    daemon.start(workers=2)
    line = daemon.logged("steering")
    assert (line["on"], line["reason"]) == (True, "")
    status = daemon.call("status")
    assert (status["steering"], status["steering_reason"]) == ("source", "")
    assert daemon.call("version")["parts"] == {"steering": True}


def test_one_worker_needs_no_steering(daemon: Daemon) -> None:
    """Which is a reason as good as any."""
    daemon.start(workers=1)
    line = daemon.logged("steering")
    assert (line["on"], line["reason"]) == (False, "there is one worker")
    assert daemon.call("status")["steering"] == "kernel"


def test_without_the_kernels_help_it_answers_all_the_same_and_says_why(daemon: Daemon) -> None:
    """As before there was such a thing: the kernel spreads queries over the workers."""
    daemon.values["workers"] = 2
    process = daemon.launch(sys.executable, "-c", UNSTEERED)
    ready = until(lambda: daemon.logged("ready", process), "the daemon is ready")
    daemon.port = int(ready["listen"][0].rpartition(":")[2])
    reason = "the kernel takes no program for the sockets: Protocol not available"
    line = daemon.logged("steering")
    assert (line["on"], line["reason"]) == (False, reason)
    status = daemon.call("status")
    assert (status["steering"], status["steering_reason"]) == ("kernel", reason)
    assert daemon.call("version")["parts"] == {"steering": False}
    assert any(len(whose(daemon, source)) == 2 for source in SOURCES)
