"""What a second worker brings: CPU per query, throughput, and how queries are spread over the workers."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from dnslb.control import client
from tests.bench import machine
from tests.bench.parts import ONE_SERVICE, SERVER, Sinks, Stage, start_daemon, workers_of, write_config
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 20_000
ROUNDS = 5
SECONDS = 1.5
CLIENTS = 8
LIMIT = 1.15
_QUESTION = "relay.lb.example.org A\n"
_PACED = ["-Q", str(RATE // CLIENTS)]
_SATURATED = ["-q", "100"]


@dataclass(frozen=True, slots=True)
class Run:
    """Answers a second, microseconds of CPU per answer of all workers and of dnsperf, queries by worker."""

    rate: float
    cpu: float
    client: float
    busy: float
    lost: int
    shares: tuple[float, ...]


class Server:
    """dnslb with so many workers."""

    def __init__(self, stage: Stage, workers: int, members: int) -> None:
        self.port = free_port()
        self._directory = stage.directory(f"workers{workers}")
        text = (SERVER + ONE_SERVICE).format(port=self.port, workers=workers, members=members)
        self._workers = workers_of(start_daemon(stage, write_config(self._directory, text)))
        self._questions = self._directory / "questions"
        self._questions.write_text(_QUESTION)

    def measure(self, pace: Sequence[str]) -> Run:
        """Have several dnsperf ask at a time, each from an address of its own."""
        before, began = self._now(), time.monotonic()
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(self.port), "-d", str(self._questions), "-l", str(SECONDS)]
        clients = [
            subprocess.Popen([*command, *pace, "-a", f"127.0.2.{1 + number}"], stdout=subprocess.PIPE, text=True)
            for number in range(CLIENTS)
        ]
        said = "".join(client.communicate()[0] for client in clients)
        took, after = time.monotonic() - began, self._now()
        cpu, spent, *queries = (later - earlier for later, earlier in zip(after, before, strict=True))
        answered = sum(map(int, re.findall(r"Queries completed:\s+(\d+)", said)))
        return Run(
            rate=sum(map(float, re.findall(r"Queries per second:\s+(\S+)", said))),
            cpu=1e6 * cpu / answered,
            client=1e6 * spent / answered,
            busy=cpu / took,
            lost=sum(map(int, re.findall(r"Queries lost:\s+(\d+)", said))),
            shares=tuple(each / sum(queries) for each in queries),
        )

    def _now(self) -> list[float]:
        """Return CPU seconds of the workers and of those who have asked, and how many queries each worker had."""
        status = client.call(self._directory / "control.sock", "status")
        asked = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = sum(machine.cpu(pid).total for pid in self._workers)
        return [cpu, asked.ru_utime + asked.ru_stime, *(worker["queries"] for worker in status["workers"])]


def main() -> None:
    """Measure and print."""
    title("15. A second worker")
    if shutil.which("dnsperf") is None:
        say("not measured: dnsperf is missing (Debian package: dnsperf)")
        return
    say(
        f"{CLIENTS} dnsperf, each from an address of its own, by which the kernel steers it to a worker: to one and the"
        f" same always, so\nthe workers' shares are as even as a hash makes so few. Medians of {ROUNDS} interleaved"
        f" rounds of {SECONDS} s: {RATE:,} queries a\nsecond, and as many as are answered. Nothing is pinned, and"
        " workers and dnsperf share all cores: where they want\nmore than there is, a second worker brings no more"
        " answers than dnsperf leaves it CPU for. `for a core each` is computed\nfrom the CPU of an answer, not"
        " measured. An answer costs more where fewer wait: each time a worker is woken costs as much as\nsome answers,"
        " and two workers are woken more often than one."
    )
    with Stage() as stage, machine.ordinary():
        members = free_port()
        Sinks(stage, members, ["127.0.0.11"])
        servers = {number: Server(stage, number, members) for number in (1, 2)}
        for pace in (_PACED, _SATURATED):
            runs = [{number: server.measure(pace) for number, server in servers.items()} for _ in range(1 + ROUNDS)]
            _print(pace, {number: [these[number] for these in runs[1:]] for number in servers})


def _print(pace: Sequence[str], runs: dict[int, list[Run]]) -> None:
    say(f"\n{RATE:,} queries a second:" if pace is _PACED else "\nas many as are answered:")
    heads = ("workers", "answers/s", "CPU of an answer, us", "of dnsperf", "CPU of workers", "for a core each")
    table((*heads, "shares", "lost"), [(str(number), *_row(number, these, pace)) for number, these in runs.items()])
    if pace is _SATURATED:
        one, two = (median(run.cpu for run in runs[number]) for number in (1, 2))
        figure("CPU of an answer at saturation, two workers / one", two / one, LIMIT, "x")


def _row(workers: int, runs: Sequence[Run], pace: Sequence[str]) -> Sequence[str]:
    most = 1e6 * workers / median(run.cpu for run in runs)
    return (
        f"{median(run.rate for run in runs):,.0f}",
        spread([run.cpu for run in runs]),
        f"{median(run.client for run in runs):.2f}",
        f"{median(run.busy for run in runs):.0%}",
        f"{most:,.0f}" if pace is _SATURATED else "",
        " : ".join(f"{share:.0%}" for share in runs[-1].shares),
        str(sum(run.lost for run in runs)),
    )
