"""How soon a command is back that asks the daemon, and what CPU time it takes: few members, and a thousand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.parts import ROOT, SERVER, Sinks, Stage, start_daemon, write_config
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUNS = 15
LIMIT = 150.0
_INTERVAL = 1000.0
"""Milliseconds that `top --json` waits for, so that it has a rate to tell."""
_PROBE = """
[probe.tcp]
kind = "tcp"
port = {members}
interval = "10m"
"""
_POOL = """
[pool.p{number}]
probe = "tcp"
[[service]]
name = "relay{number}.lb.example.org"
type = "address"
pool = "p{number}"
"""
_MEMBER = '[[pool.p{pool}.member]]\nname = "mx{place}"\naddresses = ["{address}"]\n'
_COMMANDS = {
    "status": ("status",),
    "status --json": ("status", "--json"),
    "pool": ("pool",),
    "pool p1": ("pool", "p1"),
    "drain": ("drain", "p1/mx1"),
    "ready": ("ready", "p1/mx1"),
    "maint": ("maint", "p1/mx1"),
    "weight": ("weight", "p1/mx1", "2"),
    "probe": ("probe", "p1/mx2"),
    "explain": ("explain", "relay1.lb.example.org"),
    "plan": ("plan", "--drain", "p1/mx2"),
    "events": ("events",),
    "reload": ("reload",),
    "version": ("version",),
    "top --json (without its second)": ("top", "--json", "--for", "1ms"),
    "a member's name completed": (),
}


_BUSY = {"probe", "reload"}
"""They wait for work that is asked for, a conversation or a configuration that is read: not in the figure."""


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds: medians of several runs."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print."""
    title("Commands that ask the daemon")
    python = _median([sys.executable, "-c", ""], {}).wall
    say(
        f"From the start of the program to its end, median of {RUNS} runs; {python:.0f} ms of it are Python's.\n"
        "The small configuration has one pool of 4 members, the large one 100 pools of 10, all of them up."
    )
    with Stage() as stage:
        small = _measured(stage, "small", pools=1, members=4)
        large = _measured(stage, "large", pools=100, members=10)
    rows = [(name, *_cells(small[name]), *_cells(large[name])) for name in _COMMANDS]
    table(("ms", "4 members: wall", "CPU", "1,000 members: wall", "CPU"), rows)
    for size, found in (("4", small), ("1,000", large)):
        slowest = max(found.keys() - _BUSY, key=lambda name: found[name].wall)
        figure(f"the slowest command with {size} members ({slowest}), median", found[slowest].wall, LIMIT, "ms")


def _cells(took: Took) -> tuple[str, str]:
    return f"{took.wall:.0f}", f"{took.cpu:.0f}"


def _measured(stage: Stage, name: str, *, pools: int, members: int) -> dict[str, Took]:
    """Start a daemon of that size, and return how long each command takes with it."""
    addresses = {
        (pool, place): f"127.3.{pool}.{place}" for pool in range(1, pools + 1) for place in range(1, members + 1)
    }
    port, dns = free_port(*addresses.values()), free_port()
    Sinks(stage, port, list(addresses.values()))
    text = [SERVER.format(port=dns, workers=2), _PROBE.format(members=port)]
    text += [_POOL.format(number=number) for number in range(1, pools + 1)]
    text += [_MEMBER.format(pool=pool, place=place, address=where) for (pool, place), where in addresses.items()]
    config = write_config(stage.directory(name), "".join(text))
    start_daemon(stage, config)
    return {name: _took(name, words, config) for name, words in _COMMANDS.items()}


def _took(name: str, words: Sequence[str], config: Path) -> Took:
    if not words:
        return _completion(config)
    took = _run([*words, "-c", str(config)], {})
    return Took(took.wall - _INTERVAL, took.cpu) if name.startswith("top") else took


def _completion(config: Path) -> Took:
    """Return how long a person waits who presses a key behind `dnslb drain p1/`."""
    return _run(
        [], {"_DNSLB_COMPLETE": "fish_complete", "COMP_WORDS": f"dnslb drain -c {config} p1/", "COMP_CWORD": "p1/"}
    )


def _run(words: Sequence[str], environment: dict[str, str]) -> Took:
    return _median([sys.executable, "-m", "dnslb", *words], environment)


def _median(command: Sequence[str], environment: dict[str, str]) -> Took:
    runs = [_once(command, {**os.environ, "PYTHONPATH": str(ROOT), **environment}) for _ in range(RUNS)]
    return Took(median(took.wall for took in runs), median(took.cpu for took in runs))


def _once(command: Sequence[str], environment: dict[str, str]) -> Took:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=ROOT)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(1000 * wall, 1000 * cpu)
