"""How soon queries are answered while a thousand members are probed with STARTTLS, and while none is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from tests.bench import machine, many_pools
from tests.bench.parts import SERVER, Stage, start_daemon, workers_of, write_config
from tests.bench.probing_servers import ANYWHERE, Certificates, Responder
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.processes import Process

RATE = 5_000
SECONDS = 10.0
LIMIT = 1.0
POOLS, MEMBERS = 100, 10
SOURCES = 16
_INTERVALS = {"on": "10s", "off": "1h"}
_SETTLE = 3.0
_FIRST_MEMBER = ip_address("127.64.0.1")
_PERCENTILES = (50.0, 99.0, 99.9)

_CONFIG = (
    SERVER
    + """
[probe.inbound]
kind = "smtp"
port = {members}
starttls = "opportunistic"
interval = "{interval}"
tls_interval = "{interval}"
"""
)
_SERVICE = """
[[service]]
name = "{name}"
type = "address"
pool = "p{number}"
records = 2
"""
_MEMBER = '[[pool.p{pool}.member]]\nname = "m{number}"\naddresses = ["{address}"]\n'
_NAMES = [f"relay{number}.lb.example.org" for number in range(POOLS)]


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been used until `at`, in seconds: CPU by whom, and how long workers waited for one."""

    at: float
    controller: float
    workers: float
    members: float
    everybody: float
    waited: float
    dropped: int
    """Queries that the kernel had no room for."""
    probed: int
    """Connections to members."""

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(*(getattr(self, name) - getattr(earlier, name) for name in Usage.__slots__))


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen for some seconds: microseconds for each answer, how late queries were sent, and what was used."""

    latencies: list[float]
    late: list[float]
    answers: dict[str, int]
    """How many came of each, in hexadecimal digits behind its number."""
    lost: int
    wrong: int
    asker: float
    used: Usage


def main() -> None:
    """Measure and print."""
    title(f"13. Latency at {RATE:,} queries a second while {POOLS * MEMBERS:,} members are probed")
    say(
        f"{POOLS} pools of {MEMBERS} members, each probed with STARTTLS every {_INTERVALS['on']}, or not while it is"
        f" measured. Queries come from\n{SOURCES} addresses at random moments, {RATE:,} a second on average, for"
        f" {SECONDS:.0f} s. A latency begins right before the asker\nhands a query to the kernel and ends with the"
        " kernel's time of the answer: it holds both ways through the kernel, the\nworker's wait for a CPU and its"
        " work, and not the asker's own wait to be run.\n"
        "dnslb's controller and workers run as they always do, and nothing of them is pinned. What a name server does"
        " not\nhave to do is kept out of their way: the members with their half of all handshakes run only when nothing"
        f" else would\n(SCHED_IDLE), and the asker {_how_it_asks()}.\n"
        "CPU as a share of one core; `others` is what else ran on the machine: without it, the figures are better."
        " `waited` is\nhow long workers were ready to run and had no CPU."
    )
    with Stage() as stage, machine.ordinary():
        certificates = Certificates(stage.directory("certificates"))
        port = free_port()
        members = Responder(stage, port, ANYWHERE, certificates.good)
        machine.stand_back(members.pid)
        runs = {
            f"{workers} worker{'s' * (workers > 1)}, probing {probing}": _measure(members, port, workers, probing)
            for workers in (1, 2)
            for probing in reversed(_INTERVALS)
        }
    _print(runs)


def _how_it_asks() -> str:
    return "goes before all else (SCHED_FIFO)" if machine.first() else "would need root's rights to go before all else"


def _print(runs: dict[str, Run]) -> None:
    percentiles = [f"p{percent:g}" for percent in _PERCENTILES]
    table(("latency, ms", *percentiles, "most", "lost", "dropped by the kernel", "sent late, p99"), _latencies(runs))
    heads = ("", "controller", "workers", "members", "asker", "others", "waited", "probes/s")
    table(heads, [(case, *_usage(run)) for case, run in runs.items()])
    for case, run in runs.items():
        if case.endswith("on"):
            figure(f"p99 at {RATE:,} queries a second, {case}", _percentiles(run.latencies)[1], LIMIT, "ms")


def _latencies(runs: dict[str, Run]) -> list[Sequence[str]]:
    return [
        (
            case,
            *(f"{each:.2f}" for each in (*_percentiles(run.latencies), max(run.latencies) / 1e3)),
            str(run.lost),
            str(run.used.dropped),
            f"{_percentiles(run.late)[1]:.2f}",
        )
        for case, run in runs.items()
    ]


def _usage(run: Run) -> Sequence[str]:
    used = run.used
    others = used.everybody - used.controller - used.workers - used.members - run.asker
    shares = (used.controller, used.workers, used.members, run.asker, others, used.waited)
    return *(f"{each / used.at:.0%}" for each in shares), f"{used.probed / used.at:.0f}"


def _percentiles(microseconds: Sequence[float]) -> list[float]:
    """Return the percentiles in milliseconds."""
    cuts = quantiles(microseconds, n=1000)
    return [cuts[round(10 * percent) - 1] / 1e3 for percent in _PERCENTILES]


def _measure(members: Responder, members_port: int, workers: int, probing: str) -> Run:
    with Stage() as stage:
        port = free_port()
        text = _configuration(port, members_port, workers, _INTERVALS[probing])
        daemon = start_daemon(stage, write_config(stage.directory("dnslb"), text))
        machine.keep_others_off(daemon.pid)
        if probing == "off":
            until(lambda: many_pools.is_calm(daemon.pid), "the first round is over")
        else:
            time.sleep(_SETTLE)
        before = _used(daemon, members, port)
        seen = _ask(port)
        return Run(**seen, used=_used(daemon, members, port) - before)


def _configuration(port: int, members: int, workers: int, interval: str) -> str:
    text = [_CONFIG.format(port=port, workers=workers, members=members, interval=interval)]
    for number, name in enumerate(_NAMES):
        text.append(f'[pool.p{number}]\nprobe = "inbound"\n')
        text += [_member(number, place) for place in range(MEMBERS)]
        text.append(_SERVICE.format(name=name, number=number))
    return "".join(text)


def _member(pool: int, place: int) -> str:
    number = MEMBERS * pool + place
    return _MEMBER.format(pool=pool, number=number, address=_FIRST_MEMBER + number)


def _ask(port: int) -> dict[str, Any]:
    """Return what the asker saw, and the CPU time that it took."""
    script = str(Path(__file__).with_name("stopwatch.py"))
    command = [*machine.first(), sys.executable, script, str(port), str(RATE), str(SECONDS), str(SOURCES), *_NAMES]
    seen: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return seen


def _used(daemon: Process, members: Responder, port: int) -> Usage:
    workers = workers_of(daemon)
    members.order("connections")
    return Usage(
        at=time.monotonic(),
        controller=machine.cpu(daemon.pid).total,
        workers=sum(machine.cpu(pid).total for pid in workers),
        members=machine.cpu(members.pid).total,
        everybody=machine.busy(),
        waited=sum(map(machine.waited, workers)),
        dropped=machine.dropped(port),
        probed=int(members.hear()[0]),
    )
