"""What grows with all that is served, and what must not: ten times the services and static records, the same pools."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import machine, many_pools, pools_config
from tests.bench.parts import Sinks, Stage, start_daemon, workers_of
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from pathlib import Path

FLIP_LIMIT = 20.0
FLIP_GROWTH_LIMIT = 2.0
_HEADS = {
    "load": "load the configuration and the zone, CPU s",
    "world": "index names and services, CPU s",
    "select": "select the members of all pools, CPU s",
    "compile": "compile all answers, CPU s",
    "ready": "`dnslb run` from its start to the first answers, s",
    "controller": "memory of the controller (RSS), MB",
    "worker": "memory of a worker (RSS), MB",
    "shared": "... of a worker (PSS), MB",
    "flip": "a flip of one service until every worker answers from it, median ms",
    "slowest": "... slowest, ms",
    "flips": "a flip of all services of an odd pool, median ms",
    "drain": "`dnslb drain` until it is stored and answered, median ms",
    "slowest drain": "... slowest, ms",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is served: services for each pool of an odd number, one for each of the others; and static records."""

    services: int
    static: int

    def __str__(self) -> str:
        return f"{(1 + self.services) * pools_config.POOLS // 2:,} + {self.static:,}"


SMALL, LARGE = Size(1, 10_000), Size(19, 100_000)


def main() -> None:
    """Measure and print."""
    title(f"12. Growth: {SMALL} and {LARGE} services and static records")
    say(
        f"Both with {pools_config.POOLS:,} pools of {pools_config.MEMBERS} members and {pools_config.WORKERS} workers."
        f" In the large one,\nhalf of the pools have one service each and half have {LARGE.services}."
        f" {many_pools.FLIPS} flips, of both kinds in turn:\nthe same flip must not take longer because more"
        " is served."
    )
    small, large = (_measure(size) for size in (SMALL, LARGE))
    rows = [(text, small[key], large[key]) for key, text in _HEADS.items()]
    heads = ("", str(SMALL), str(LARGE), "ratio")
    table(heads, [(text, f"{few:.2f}", f"{many:.2f}", f"{many / few:.1f}") for text, few, many in rows])
    figure("a flip in every worker, median, of the large one", large["flips"], FLIP_LIMIT, "ms")
    figure("a flip of one service, beside the small one", large["flip"] / small["flip"], FLIP_GROWTH_LIMIT, "x")


def _measure(size: Size) -> dict[str, float]:
    with Stage() as stage:
        return {**_inside(_write(stage.directory("inside"), size)), **_daemon(stage, size)}


def _write(directory: Path, size: Size, port: int = 5300, http: int = 8053, members: int = 25) -> Path:
    more = size.services - 1
    return pools_config.write(directory, port=port, http=http, members=members, more_services=more, static=size.static)


def _inside(path: Path) -> dict[str, float]:
    found = many_pools.inside(path, flips=many_pools.FLIPS)
    flips = [1000 * seconds for seconds in found["flips"]]
    # Even pools and odd ones in turn.
    one, all_of_odd = flips[::2], flips[1::2]
    return {**found["seconds"], "flip": median(one), "slowest": max(one), "flips": median(all_of_odd)}


def _daemon(stage: Stage, size: Size) -> dict[str, float]:
    members = free_port()
    # All of 127.0.0.0/8 is one listener on the wildcard address.
    Sinks(stage, members, ["0.0.0.0"])  # noqa: S104 - see above
    path = _write(stage.directory("daemon"), size, port=free_port(), http=free_port(), members=members)
    started = time.monotonic()
    daemon = start_daemon(stage, path)
    ready = time.monotonic() - started
    until(lambda: many_pools.is_calm(daemon.pid), "the controller is calm", seconds=60)
    drains = [many_pools.drain_or_ready(path, number) for number in range(many_pools.FLIPS)]
    worker = max((machine.memory(pid) for pid in workers_of(daemon)), key=lambda used: used.rss)
    return {
        "ready": ready,
        "controller": machine.memory(daemon.pid).rss,
        "worker": worker.rss,
        "shared": worker.pss,
        "drain": median(drains),
        "slowest drain": max(drains),
    }
