"""How soon queries are answered while a thousand members are probed with STARTTLS, and what a second worker brings."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from ipaddress import ip_address
from statistics import quantiles
from typing import TYPE_CHECKING

from tests.bench import machine, many_pools
from tests.bench.parts import SERVER, Stage, start_daemon, workers_of, write_config
from tests.bench.probing_servers import ANYWHERE, Certificates, Responder
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.e2e.processes import Process

RATE = 5_000
SECONDS = 10.0
LIMIT = 1.0
POOLS, MEMBERS = 100, 10
_INTERVALS = {"on": "10s", "off": "1h"}
_CLIENTS = 4
"""Each has an address of its own: by that the kernel steers it to a worker."""
_SATURATED_SECONDS = 4.0
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
name = "relay{number}.lb.example.org"
type = "address"
pool = "p{number}"
records = 2
"""
_MEMBER = '[[pool.p{pool}.member]]\nname = "m{number}"\naddresses = ["{address}"]\n'


@dataclass(frozen=True, slots=True)
class Run:
    """What clients have seen: milliseconds for each answer, answers a second; and the CPU of processes as a share."""

    latencies: list[float]
    rate: float
    lost: int
    controller: float
    workers: float


def main() -> None:
    """Measure and print."""
    title(f"13. Latency at {RATE:,} queries a second with {POOLS * MEMBERS:,} members probed, and a second worker")
    if shutil.which("dnsperf") is None:
        say("not measured: dnsperf is missing (Debian package: dnsperf)")
        return
    say(
        f"{POOLS} pools of {MEMBERS} members, each probed with STARTTLS every {_INTERVALS['on']}, or not while it is"
        f" measured. {_CLIENTS} dnsperf\nsend together {RATE:,} queries a second for {SECONDS:.0f} s, then what is"
        " answered at once. Nothing is pinned: probed members (one\nprocess), controller, workers and dnsperf share"
        " the cores, so at saturation two workers and dnsperf want more than\nthere is on two. Latency as dnsperf sees"
        " it, ms; CPU as a share of one core. On a machine that does other work, the rows without probing tell how\n"
        "much of a latency is that work's."
    )
    rows, paced = [], {}
    with Stage() as stage:
        certificates = Certificates(stage.directory("certificates"))
        members = free_port()
        Responder(stage, members, ANYWHERE, certificates.good)
        for workers in (1, 2):
            for probing in _INTERVALS:
                case = f"{workers} worker{'s' * (workers > 1)}, probing {probing}"
                with Stage() as own:
                    paced[case], saturated = _measure(own, members, workers, probing)
                rows.append((case, *_row(paced[case]), f"{saturated.rate:,.0f}"))
    percentiles = [f"p{percent:g}" for percent in _PERCENTILES]
    table(("", *percentiles, "most", "lost", "CPU controller", "workers", "answers/s at most"), rows)
    for case, run in paced.items():
        if case.endswith("on"):
            figure(f"p99 at {RATE:,} queries a second, {case}", _percentiles(run)[1], LIMIT, "ms")


def _row(run: Run) -> Sequence[str]:
    found = (*_percentiles(run), max(run.latencies))
    return *(f"{each:.2f}" for each in found), str(run.lost), f"{run.controller:.0%}", f"{run.workers:.0%}"


def _percentiles(run: Run) -> list[float]:
    cuts = quantiles(run.latencies, n=1000)
    return [cuts[round(10 * percent) - 1] for percent in _PERCENTILES]


def _measure(stage: Stage, members: int, workers: int, probing: str) -> tuple[Run, Run]:
    """Return a run at the rate, and one with as many queries as are answered."""
    port = free_port()
    text = [_CONFIG.format(port=port, workers=workers, members=members, interval=_INTERVALS[probing])]
    for number in range(POOLS):
        text.append(f'[pool.p{number}]\nprobe = "inbound"\n')
        text += [_member(number, place) for place in range(MEMBERS)]
        text.append(_SERVICE.format(number=number))
    directory = stage.directory("dnslb")
    daemon = start_daemon(stage, write_config(directory, "".join(text)))
    questions = directory / "questions"
    questions.write_text("".join(f"relay{number}.lb.example.org A\n" for number in range(POOLS)))
    if probing == "off":
        until(lambda: many_pools.is_calm(daemon.pid), "the first round is over")
    paced = _ask(daemon, port, questions, ["-Q", str(RATE // _CLIENTS)], SECONDS)
    return paced, _ask(daemon, port, questions, [], _SATURATED_SECONDS)


def _member(pool: int, place: int) -> str:
    number = MEMBERS * pool + place
    return _MEMBER.format(pool=pool, number=number, address=_FIRST_MEMBER + number)


def _ask(daemon: Process, port: int, questions: Path, pace: Sequence[str], seconds: float) -> Run:
    """Ask from several addresses at a time; the latency of each answer is kept if there is a pace."""
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-l", str(seconds), "-e", "-D"]
    command += [*pace, "-v"] if pace else ["-q", "50"]
    before = _cpu(daemon)
    # In files: a pipe that nobody reads would stop them.
    logs = [questions.with_name(f"answers{number}") for number in range(_CLIENTS)]
    clients = [
        subprocess.Popen([*command, "-a", f"127.0.2.{1 + number}"], stdout=log.open("w"))
        for number, log in enumerate(logs)
    ]
    assert [client.wait() for client in clients] == [0] * _CLIENTS
    controller, workers = (after - earlier for after, earlier in zip(_cpu(daemon), before, strict=True))
    said = "".join(log.read_text() for log in logs)
    return Run(
        latencies=[1000 * float(found) for found in re.findall(r"^> NOERROR .* (\S+)$", said, re.MULTILINE)],
        rate=sum(map(float, re.findall(r"Queries per second:\s+(\S+)", said))),
        lost=sum(map(int, re.findall(r"Queries lost:\s+(\d+)", said))),
        controller=controller / seconds,
        workers=workers / seconds,
    )


def _cpu(daemon: Process) -> tuple[float, float]:
    return machine.cpu(daemon.pid).total, sum(machine.cpu(pid).total for pid in workers_of(daemon))
