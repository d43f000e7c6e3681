"""1,000 pools of 8 members: time to compile, time from a flip to new answers in every worker, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from statistics import median
from typing import TYPE_CHECKING, Any

from dnslb.control import client
from tests.bench import machine, pools_config
from tests.bench.parts import ROOT, Sinks, Stage, start_daemon, workers_of
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Process

COMPILATIONS = 3
FLIPS = 50
COMPILE_LIMIT = 1.0
FLIP_LIMIT = 20.0
CONTROLLER_LIMIT = 150.0
WORKER_LIMIT = 100.0
_CALM_SECONDS = 0.05


def main() -> None:
    """Measure and print."""
    title(f"3. {pools_config.POOLS:,} pools of {pools_config.MEMBERS} members, {pools_config.WORKERS} workers")
    for name, with_mx in (("an address service each", False), ("an address service and an MX service each", True)):
        say(f"\n{name}:")
        with Stage() as stage:
            _measure_inside(stage, name, with_mx=with_mx)
            _measure_daemon(stage, name, with_mx=with_mx)


def _measure_inside(stage: Stage, name: str, *, with_mx: bool) -> None:
    path = pools_config.write(stage.directory("inside"), with_mx=with_mx)
    runs = [inside(path, flips=0) for _ in range(COMPILATIONS - 1)] + [inside(path, flips=FLIPS)]
    say(f"CPU seconds in {COMPILATIONS} fresh processes, medians (least to greatest):")
    steps = {
        "load": "read and check the configuration",
        "world": "index names and services",
        "select": "select the members of all pools",
        "compile": "compile all answers (compile_all)",
    }
    table(("", "s"), [(text, spread([run["seconds"][step] for run in runs], ".3f")) for step, text in steps.items()])
    figure(f"full compile, {name}", median(run["seconds"]["compile"] for run in runs), COMPILE_LIMIT, "s")
    flips = [1000 * seconds for seconds in runs[-1]["flips"]]
    say(f"A flip until every worker has acknowledged, {len(flips)} flips, ms: {spread(flips)}")
    figure(f"a flip in every worker, median, {name}", median(flips), FLIP_LIMIT, "ms")
    figure(f"a flip in every worker, slowest, {name}", max(flips), FLIP_LIMIT, "ms")


def inside(path: Path, *, flips: int) -> Any:  # noqa: ANN401 - JSON
    """Return what pools_inside.py has measured in a fresh process, with so many flips."""
    command = [sys.executable, "-m", "tests.bench.pools_inside", str(path), str(flips)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def _measure_daemon(stage: Stage, name: str, *, with_mx: bool) -> None:
    members, http = free_port(), free_port()
    # All of 127.0.0.0/8 is one listener on the wildcard address.
    Sinks(stage, members, ["0.0.0.0"])  # noqa: S104 - see above
    path = pools_config.write(stage.directory("daemon"), port=free_port(), http=http, members=members, with_mx=with_mx)
    started = time.monotonic()
    daemon = start_daemon(stage, path)
    say(f"A real `dnslb run` (first round of probes included) was ready after {time.monotonic() - started:.1f} s")
    until(lambda: is_calm(daemon.pid), "the controller is calm", seconds=60)
    say(f"and had done all that the start brings after {time.monotonic() - started:.1f} s.")
    before = _memory(daemon)
    took = [drain_or_ready(path, number) for number in range(FLIPS)]
    say(f"`dnslb drain` or `ready` over the control socket, stored and published, ms: {spread(took)}")
    _scrape(http)
    after = _memory(daemon)
    _print_memory(before, after)
    figure(f"memory of the controller (RSS), {name}", after["controller"].rss, CONTROLLER_LIMIT, "MB")
    worker = max(used.rss for process, used in after.items() if process != "controller")
    figure(f"memory of a worker (RSS), {name}", worker, WORKER_LIMIT, "MB")


def is_calm(pid: int) -> bool:
    """Say whether a process does next to nothing for half a second."""
    before = machine.cpu(pid)
    time.sleep(0.5)
    return (machine.cpu(pid) - before).total < _CALM_SECONDS


def drain_or_ready(config: Path, number: int) -> float:
    """Take a member out, or put the one before back in; return the milliseconds until the daemon has confirmed it."""
    member, state = f"m{number // 2}-0", ("drain", "ready")[number % 2]
    started = time.monotonic()
    client.call(config.parent / "control.sock", "admin", {"pool": f"p{number // 2}", "member": member, "state": state})
    return 1000 * (time.monotonic() - started)


def _scrape(http: int) -> None:
    """Read the metrics once, as Prometheus does: what that needs is part of the memory that is measured."""
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics") as response:
        response.read()


def _memory(daemon: Process) -> dict[str, machine.Memory]:
    processes = {"controller": daemon.pid}
    processes |= {f"worker {number}": pid for number, pid in enumerate(workers_of(daemon), 1)}
    return {name: machine.memory(pid) for name, pid in processes.items()}


def _print_memory(before: dict[str, machine.Memory], after: dict[str, machine.Memory]) -> None:
    heads = ("memory in MB", "RSS at the start", "RSS after flips and a scrape", "PSS", "peak RSS")
    rows = [(name, *_megabytes(before[name].rss, used.rss, used.pss, used.peak)) for name, used in after.items()]
    table(heads, rows)


def _megabytes(*values: float) -> list[str]:
    return [f"{value:.1f}" for value in values]
