"""Whether good queries are answered while malformed packets flood in, and what such packets cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from tests.bench import machine
from tests.bench.flooder import KINDS
from tests.bench.parts import ONE_SERVICE, SERVER, Sinks, Stage, start_daemon, workers_of, write_config
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATE, GOOD_RATE = 50_000, 2_000
SECONDS, SECONDS_OF_A_KIND = 10.0, 1.5
SOURCES = 16
_CORE = "1"
_NAME = "relay.lb.example.org"

_LIMITED = 'http = "127.0.0.1:{http}"\nrate_limit = {{ exempt = ["127.0.2.0/24"] }}'
_CONFIG = SERVER.replace('http = ""', _LIMITED) + ONE_SERVICE


@dataclass(frozen=True, slots=True)
class Counted:
    """What dnslb has counted and the kernel had no room for, the worker's CPU seconds, and its memory in MB."""

    everything: int
    good: int
    dropped: int
    cpu: float
    rss: float

    def __sub__(self, earlier: Counted) -> Counted:
        return Counted(*(getattr(self, name) - getattr(earlier, name) for name in Counted.__slots__))


class Server:
    """dnslb with one worker and one service."""

    def __init__(self, stage: Stage) -> None:
        self.port, self._http, members = free_port(), free_port(), free_port()
        Sinks(stage, members, ["127.0.0.11"])
        text = _CONFIG.format(port=self.port, http=self._http, workers=1, members=members)
        daemon = start_daemon(stage, write_config(stage.directory("dnslb"), text))
        machine.keep_others_off(daemon.pid)
        (self._worker,) = workers_of(daemon)

    def counted(self) -> Counted:
        """Return what has been counted so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/metrics") as response:
            metrics = response.read().decode()
        return Counted(
            everything=_sum(
                r'dnslb_(?:queries|dropped)_total\{.*|dnslb_rate_limited_total\{action="truncated"', metrics
            ),
            good=_sum(r'dnslb_queries_total\{.*rcode="NOERROR"', metrics),
            dropped=machine.dropped(self.port),
            cpu=machine.cpu(self._worker).total,
            rss=machine.memory(self._worker).rss,
        )

    def counted_at_rest(self) -> Counted:
        """Return the same when what waited in the kernel has been taken: at the end of a flood that is a little."""
        before = self.counted()
        while (now := self.counted()).everything != before.everything:
            before = now
        return now


def _sum(pattern: str, metrics: str) -> int:
    return sum(int(float(value)) for value in re.findall(rf"^(?:{pattern}).*\}} (\S+)$", metrics, re.MULTILINE))


def main() -> None:
    """Measure and print."""
    title(f"14. {RATE:,} malformed packets a second")
    say(
        f"One worker, pinned to nothing; {GOOD_RATE:,} good queries a second from {SOURCES} addresses of their own for"
        f" {SECONDS:.0f} s, with the flood and\nwithout. Flood and good queries are sent from core {_CORE}. Networks of"
        " the flood are rate limited, that of the good queries is\nexempt. Answers to malformed packets are sent and"
        " not read."
    )
    with Stage() as stage, machine.ordinary():
        server = Server(stage)
        calm, flooded = _Case.measure(server, []), _Case.measure(server, list(KINDS))
        _print(calm, flooded)
        _print_kinds({kind: _cost(server, [kind]) for kind in KINDS})


@dataclass(frozen=True, slots=True)
class _Case:
    """What became of good queries and of the flood."""

    seen: dict[str, Any]
    flood: dict[str, float]
    counted: Counted

    @classmethod
    def measure(cls, server: Server, kinds: Sequence[str]) -> _Case:
        """Ask for a while, and flood meanwhile if there is any kind of packet."""
        before = server.counted()
        with _flood(server.port, kinds) as flood:
            seen = _ask(server.port)
        return cls(seen, flood, server.counted_at_rest() - before)

    @property
    def good(self) -> int:
        """How many good queries were sent."""
        return len(self.seen["latencies"]) + int(self.seen["lost"])

    @property
    def unaccounted(self) -> int:
        """Packets that neither the kernel nor dnslb has counted."""
        return self.good + int(self.flood["sent"]) - self.counted.everything - self.counted.dropped

    @property
    def lost(self) -> int:
        """Good queries without an answer, and without a drop by the kernel that may have been theirs."""
        return max(0, int(self.seen["lost"]) - self.counted.dropped)


@contextmanager
def _flood(port: int, kinds: Sequence[str]) -> Iterator[dict[str, float]]:
    """Send packets; at the end the yielded mapping says how many, and what that took."""
    found: dict[str, float] = {"sent": 0, "took": 1, "cpu": 0}
    if not kinds:
        yield found
        return
    command = [*_prefix(), sys.executable, str(Path(__file__).with_name("flooder.py")), str(port), str(RATE), *kinds]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield found
        process.stdin.close()
        found.update(json.loads(process.stdout.read()))


def _prefix() -> list[str]:
    return [*machine.first(), "taskset", "-c", _CORE] if len(os.sched_getaffinity(0)) > 1 else machine.first()


def _ask(port: int) -> dict[str, Any]:
    script = str(Path(__file__).with_name("stopwatch.py"))
    command = [*_prefix(), sys.executable, script, str(port), str(GOOD_RATE), str(SECONDS), str(SOURCES), _NAME]
    seen: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return seen


def _cost(server: Server, kinds: Sequence[str]) -> tuple[float, float, int]:
    """Return packets a second, microseconds of the worker's CPU for each, and how many the kernel dropped."""
    before = server.counted()
    with _flood(server.port, kinds) as flood:
        time.sleep(SECONDS_OF_A_KIND)
    used = server.counted() - before
    return flood["sent"] / flood["took"], 1e6 * used.cpu / (flood["sent"] - used.dropped), used.dropped


def _print(calm: _Case, flooded: _Case) -> None:
    cases = {"no flood": calm, "flood": flooded}
    heads = ("", "malformed/s", "good sent", "answered", "not answered", "p50 ms", "p99 ms", "dropped by the kernel")
    table((*heads, "worker's CPU", "memory grew, MB"), [(name, *_row(case)) for name, case in cases.items()])
    figure("good queries not answered, beyond what the kernel dropped", flooded.lost, 0, "")
    figure("packets that neither dnslb nor the kernel has counted", abs(flooded.unaccounted), 0, "")


def _row(case: _Case) -> Sequence[str]:
    cuts = quantiles(case.seen["latencies"], n=100)
    return (
        f"{case.flood['sent'] / case.flood['took']:,.0f}",
        f"{case.good:,}",
        f"{len(case.seen['latencies']):,}",
        str(case.seen["lost"]),
        f"{cuts[49] / 1e3:.2f}",
        f"{cuts[98] / 1e3:.2f}",
        str(case.counted.dropped),
        f"{case.counted.cpu / max(case.flood['took'], SECONDS):.0%}",
        f"{case.counted.rss:.1f}",
    )


def _print_kinds(costs: dict[str, tuple[float, float, int]]) -> None:
    say(f"\nby kind, {SECONDS_OF_A_KIND} s each, without good queries:")
    rows = [(kind, f"{rate:,.0f}", f"{cost:.2f}", str(dropped)) for kind, (rate, cost, dropped) in costs.items()]
    table(("", "packets/s", "worker's CPU each, us", "dropped by the kernel"), rows)
