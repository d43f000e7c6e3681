"""Caching resolvers of unequal size: real unbounds, each with an address of its own, and the lookups behind them."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from tests.e2e import resolvers
from tests.e2e.resolvers import rdatas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.members import Members
    from tests.e2e.processes import Stage
    from tests.e2e.product import Daemon
    from tests.e2e.resolvers import Resolver

SIZES = {"127.9.0.1": 40, "127.9.0.2": 25, "127.9.0.3": 15, "127.9.0.4": 12, "127.9.0.5": 8}
"""Each resolver's part of the lookups in per cent."""
WEIGHTS = {"mx1": 5, "mx2": 3, "mx3": 1, "mx4": 1}
NAMES = [f"cached{number}.lb.test" for number in range(16)]
"""Each has its own turns, so that one run tells as much as many."""
SECONDS = 20.0
BOUND = 3 / 4
"""So much of the error that random draws have in a simulation of the same load is more than ours ever has in one."""
_SERVICE = """
[[service]]
name = "{name}"
type = "address"
pool = "mail"
records = 1
ttl = 1
"""
_LASTS = "2"
"""Seconds for which an unbound keeps what has a TTL of 1: it counts whole ones, and the last one is still good."""
_PAUSE = 0.002
"""Seconds between two lookups: others need the machine too."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of the lookups of clients that take the first address.

    `error` is the largest distance of a member's share of them from its weight's, as a fraction of 1, the mean over the
    names. `turns` is how often a resolver asked for a name, on average.
    """

    lookups: int
    seconds: float
    turns: float
    error: float


def start(stage: Stage, daemon: Daemon) -> dict[str, Resolver]:
    """Start an unbound at each of the addresses, and let dnslb have names whose answers they cache."""
    daemon.config.write_text(daemon.config.read_text() + "".join(_SERVICE.format(name=name) for name in NAMES))
    assert daemon.cli("reload").returncode == 0
    return {source: resolvers.unbound(stage, daemon.port, source) for source in SIZES}


def look_up(daemon: Daemon, members: Members, behind: Mapping[str, Resolver]) -> Load:
    """Look up the names for SECONDS, any of them at any resolver, by its size."""
    draw = random.Random(1)  # noqa: S311 - the same load in each run
    sources, sizes = list(SIZES), list(SIZES.values())
    taken: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
    asked, began = sum(queries(daemon)), time.monotonic()
    while (seconds := time.monotonic() - began) < SECONDS:
        (source,), name = draw.choices(sources, sizes), draw.choice(NAMES)
        taken[name].update(rdatas(behind[source].ask(name, "A"), "A"))
        time.sleep(_PAUSE)
    return Load(
        lookups=sum(counts.total() for counts in taken.values()),
        seconds=seconds,
        turns=(sum(queries(daemon)) - asked) / len(NAMES) / len(behind),
        error=mean(_error(counts, members.addresses) for counts in taken.values()),
    )


def _error(counts: Counter[str], addresses: Mapping[str, str]) -> float:
    lookups, weight = counts.total(), sum(WEIGHTS.values())
    return max(abs(counts[addresses[name]] / lookups - part / weight) for name, part in WEIGHTS.items())


def queries(daemon: Daemon) -> list[int]:
    """Return how many queries each worker has answered."""
    return [worker["queries"] for worker in daemon.status()["workers"]]


def simulated(daemon: Daemon, load: Load, *words: str) -> Any:  # noqa: ANN401 - JSON, as the contract has it
    """Return what `dnslb simulate` says of such a load, with other words behind those that describe it."""
    crowd = ("--resolvers", f"{len(SIZES)}", "--spread", ",".join(map(str, SIZES.values())), "--senders", "first")
    pace = ("--ttl", _LASTS, "--rate", f"{load.lookups / load.seconds / len(NAMES)}", "--for", f"{load.seconds}s")
    done = daemon.cli("simulate", NAMES[0], *crowd, *pace, "--workers", "2", "--runs", "200", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
