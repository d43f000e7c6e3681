"""What is lost at 5,000 queries a second when a worker is killed, or the controller, and when its successor starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnslb.server.batch import SIZE
from tests.bench import machine
from tests.bench.parts import ONE_SERVICE, SERVER, Sinks, Stage, start_daemon, workers_of, write_config
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port, process_group, until

if TYPE_CHECKING:
    from tests.e2e.processes import Process

RATE = 5_000
ROUNDS = 5
WORKERS = 2
LIMIT = 1000.0
_SOURCES = 16
_SECONDS = {"a worker": 4.0, "the controller": 10.0}
_BEFORE = 1.5
"""Seconds of calm: a worker that dies younger would be replaced after a pause."""
_NAME = "relay.lb.example.org"


@dataclass(frozen=True, slots=True)
class Round:
    """What became of the queries around one death; `longest` is how long one of them waited, in milliseconds."""

    sent: int
    lost: int
    wrong: int
    longest: float


def main() -> None:
    """Measure and print."""
    title(f"18. Killed at {RATE:,} queries a second")
    say(
        f"`dnslb run` with {WORKERS} workers, asked from {_SOURCES} addresses, {RATE:,} times a second together,"
        f" {ROUNDS} times each: SIGKILL of\none worker, whose queries wait for the one that takes its place; and"
        " SIGKILL of the controller, beside which its\nworkers answer on, and then a start of its successor, with"
        " workers of its own. No query is sent again."
    )
    with Stage() as stage, machine.ordinary():
        port, members = free_port(), free_port("127.0.0.11")
        Sinks(stage, members, ["127.0.0.11"])
        text = (SERVER + ONE_SERVICE).format(port=port, workers=WORKERS, members=members)
        config = write_config(stage.directory("dnslb"), text)
        daemon = start_daemon(stage, config)
        rounds: dict[str, list[Round]] = {
            "a worker": [_kill_worker(daemon, port) for _ in range(ROUNDS)],
            "the controller": [],
        }
        for number in range(ROUNDS):
            found, daemon = _kill_controller(stage, daemon, config, port, number)
            rounds["the controller"].append(found)
    _print(rounds)


def _print(rounds: dict[str, list[Round]]) -> None:
    rows = [
        (
            who,
            f"{sum(each.sent for each in these):,}",
            str(sum(each.lost for each in these)),
            str(sum(each.wrong for each in these)),
            spread([each.longest for each in these], ".0f"),
        )
        for who, these in rounds.items()
    ]
    table(("killed", "queries", "lost", "wrong", "longest wait of each round, median ms (from, to)"), rows)
    workers, controllers = rounds.values()
    figure("lost with a worker (at most the batch that it held), most", max(each.lost for each in workers), SIZE, "")
    figure("until a worker is replaced, most", max(each.longest for each in workers), LIMIT, "ms")
    figure("lost with a controller and at its successor's start", sum(each.lost for each in controllers), 0, "")
    figure("wrong answers", sum(each.wrong for these in rounds.values() for each in these), 0, "")


def _kill_worker(daemon: Process, port: int) -> Round:
    before = workers_of(daemon)
    with _asking(port, "a worker") as asker:
        time.sleep(_BEFORE)
        os.kill(before[0], signal.SIGKILL)
        found = _round(asker)
    until(lambda: len(workers_of(daemon)) == len(before), "all workers")
    return found


def _kill_controller(stage: Stage, daemon: Process, config: Path, port: int, number: int) -> tuple[Round, Process]:
    """Kill it, and start its successor; return what became of the queries, and the successor."""
    orphans = workers_of(daemon)
    with _asking(port, "the controller") as asker:
        time.sleep(_BEFORE)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        time.sleep(_BEFORE)
        successor = start_daemon(stage, config, name=f"successor{number}")
        until(lambda: not any(map(process_group, orphans)), "the workers before have gone")
        found = _round(asker)
    return found, successor


def _asking(port: int, who: str) -> subprocess.Popen[str]:
    script = str(Path(__file__).with_name("stopwatch.py"))
    command = [sys.executable, script, str(port), str(RATE), str(_SECONDS[who]), str(_SOURCES), _NAME]
    return subprocess.Popen([*machine.first(), *command], stdout=subprocess.PIPE, text=True)


def _round(asker: subprocess.Popen[str]) -> Round:
    """Wait until all is asked."""
    assert asker.poll() is None, "it was asked for too short a time"
    seen: dict[str, Any] = json.loads(asker.communicate()[0])
    latencies = seen["latencies"]
    return Round(len(latencies) + seen["lost"], seen["lost"], seen["wrong"], max(latencies) / 1e3)
