"""From `drain` to the last answer that holds the member, in all workers."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from dnslb.control import client
from tests.bench.parts import ROOT, SERVER, Sinks, Stage, start_daemon, write_config
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROUNDS = 20
RATE = 4000
SOURCES = 32
LIMIT = 50.0
_CALM = 0.2
"""Seconds of answers that must all lack the member before the last one with it is believed to be the last."""
_MEMBERS = {f"mx{number}": f"127.0.0.{10 + number}" for number in range(1, 5)}
_NAME = "every.lb.example.org"

_CONFIG = (
    SERVER
    + """
[probe.inbound]
kind = "smtp"
port = {members}
interval = "10s"
[pool.inbound]
probe = "inbound"
[[service]]
name = "every.lb.example.org"
type = "address"
pool = "inbound"
records = "all"
"""
)
_MEMBER = '[[pool.inbound.member]]\nname = "{name}"\naddresses = ["{address}"]\n'


class Asking:
    """The crowd of asker.py; it ends with the stage."""

    def __init__(self, stage: Stage, port: int, address: str) -> None:
        script = str(Path(__file__).with_name("asker.py"))
        command = [sys.executable, script, str(port), _NAME, address, str(RATE), str(SOURCES)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stage.callback(self._end)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def news(self) -> tuple[int, int, float]:
        """Return how many answers came since the last time, how many with the address, and when one last had it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answers, held, last = self._process.stdout.readline().split()
        return int(answers), int(held), float(last)

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain: milliseconds from its beginning until it was confirmed, and to the last answer with the member.

    `answers` is how many came without it afterwards.
    """

    confirmed: float
    last: float
    answers: int


def main() -> None:
    """Measure and print."""
    title("6. From `drain` to the last answer that holds the member")
    say(
        f"A real daemon with 2 workers; {SOURCES} sources ask for all members, {RATE:,} times a second together, so\n"
        f"that each worker is asked. {ROUNDS} drains as a request over the control socket (from when it is sent), and\n"
        "as many by `dnslb drain` (from when the program starts, most of which is Python's start), with `ready` in\n"
        "between. An answer comes when the client reads it, by the same monotonic clock; it asks every 2 ms."
    )
    with Stage() as stage:
        port, members = free_port(), free_port(*_MEMBERS.values())
        Sinks(stage, members, list(_MEMBERS.values()))
        config = _write(stage.directory("dnslb"), port, members)
        start_daemon(stage, config)
        asking = Asking(stage, port, _MEMBERS["mx1"])
        ways = {"control socket": lambda: _call(config, "drain"), "dnslb drain": lambda: _type(config)}
        drains = {way: [_drain(config, asking, act) for _ in range(ROUNDS)] for way, act in ways.items()}
        queries = [worker["queries"] for worker in client.call(_socket(config), "status")["workers"]]
    _print(drains, queries)


def _print(drains: dict[str, list[Drain]], queries: Iterable[int]) -> None:
    rows = [
        (f"{way}: {what}", *(f"{pick(getattr(drain, field) for drain in these):.1f}" for pick in (min, median, max)))
        for way, these in drains.items()
        for what, field in (("the last answer with the member", "last"), ("confirmed", "confirmed"))
    ]
    table((f"ms, {ROUNDS} drains", "least", "median", "most"), rows)
    answers = [drain.answers for these in drains.values() for drain in these]
    say(
        f"answers without it after each drain: {min(answers)} or more; queries that each worker has answered: "
        + ", ".join(f"{number:,}" for number in queries)
    )
    last = [drain.last for drain in drains["control socket"]]
    figure("from `drain` to the last answer with the member, median", median(last), LIMIT, "ms")
    figure("from `drain` to the last answer with the member, most", max(last), LIMIT, "ms")


def _write(directory: Path, port: int, members: int) -> Path:
    pool = "".join(_MEMBER.format(name=name, address=address) for name, address in _MEMBERS.items())
    return write_config(directory, _CONFIG.format(port=port, workers=2, members=members) + pool)


def _socket(config: Path) -> Path:
    return config.parent / "control.sock"


def _call(config: Path, state: str) -> None:
    client.call(_socket(config), "admin", {"pool": "inbound", "member": "mx1", "state": state})


def _type(config: Path) -> None:
    command = [sys.executable, "-m", "dnslb", "drain", "inbound/mx1", "-c", str(config)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def _drain(config: Path, asking: Asking, act: Callable[[], None]) -> Drain:
    """Put the member back, wait until all answers hold it, and drain it."""
    _call(config, "ready")
    asking.news()
    until(lambda: _all_hold(asking), "all answers hold the member")
    began = time.monotonic()
    act()
    confirmed = time.monotonic()
    time.sleep(_CALM)
    answers, held, last = asking.news()
    time.sleep(_CALM)
    answers_after, late, _ = asking.news()
    assert not late, f"{late} of {answers_after} answers held the member {_CALM} s after the drain"
    return Drain(1000 * (confirmed - began), 1000 * max(0.0, last - began), answers - held + answers_after)


def _all_hold(asking: Asking) -> bool:
    answers, held, _ = asking.news()
    return answers == held > 0
