"""What is lost, wrong or late at 5,000 queries a second while the daemon reloads, is replaced, killed and restarted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.rcode

from dnslb.control.client import call
from dnslb.server import sockets
from tests.bench import machine
from tests.bench.parts import ONE_SERVICE, ROOT, SERVER, Sinks, Stage, write_config
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port, process_group, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATE = 5_000
RELOADS, REPLACES, KILLS, RESTARTS = 20, 5, 5, 5
WORKERS = 2
LIMIT = 2.0
_SOURCES = 16
_CALM = 0.5
_EXPECTED = {"relay.lb.example.org.": "127.0.0.11", "ns1.lb.example.org.": "127.0.0.1"}
_RUN = [sys.executable, "-m", "dnslb", "run"]
_FIRST_DESCRIPTOR, _FREE_DESCRIPTOR = 3, 100
_WITH_SOCKETS = f"""
import os, sys
number = int(sys.argv[1])
given = [os.dup2(int(each), {_FREE_DESCRIPTOR} + place) for place, each in enumerate(sys.argv[2 : 2 + number])]
for place, each in enumerate(given):
    os.dup2(each, {_FIRST_DESCRIPTOR} + place)
    os.close(each)
os.environ |= {{"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(number)}}
os.execv(sys.executable, [sys.executable, *sys.argv[2 + number :]])
"""
"""Gives the command behind it sockets as the service manager does (sd_listen_fds(3))."""


@dataclass(slots=True)
class Seen:
    """What became of the queries while something was done, and how long that took each time, in seconds."""

    sent: int = 0
    lost: int = 0
    wrong: int = 0
    longest: float = 0.0
    answering: list[float] = field(default_factory=list)
    """From the start of a process until all its workers answer."""
    alone: list[float] = field(default_factory=list)
    """Until those of the one before have gone."""


class Daemons:
    """One daemon after the other with the same configuration."""

    def __init__(self, stage: Stage, config: Path) -> None:
        self.config = config
        self._logs = stage.directory("logs")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: list[int] = []
        stage.callback(self._end)

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for pid in self._written_down():
            os.kill(pid, signal.SIGKILL)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The newest one."""
        return self._processes[-1]

    def start(self, *words: str, given: Sequence[int] = ()) -> tuple[float, float]:
        """Start one; return the seconds until its workers answer, and until they are alone."""
        before, began = self._written_down(), time.monotonic()
        log = self._logs / str(len(self._processes))
        command = [*_RUN, "-c", str(self.config), *words]
        if given:
            descriptors = map(str, given)
            command = [sys.executable, "-c", _WITH_SOCKETS, str(len(given)), *descriptors, *command[1:]]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True, pass_fds=tuple(given),
            )  # fmt: skip
        self._processes.append(process)
        machine.keep_others_off(process.pid)
        until(lambda: self._says(process, log, '"ready"'), "it is ready")
        answering = time.monotonic() - began
        until(lambda: not any(map(process_group, before)), "nobody else answers")
        return answering, time.monotonic() - began

    def _says(self, process: subprocess.Popen[bytes], log: Path, word: str) -> bool:
        text = log.read_text()
        assert process.poll() is None, text
        return word in text

    def _written_down(self) -> list[int]:
        path = self.config.parent / "state" / "workers.json"
        known = json.loads(path.read_text()) if path.exists() else []
        return [int(pid) for place in known for pid in place if process_group(int(pid))]

    def reload(self, number: int) -> None:
        """Have it read a zone with one more record."""
        with (self.config.parent / "zone").open("a") as zone:
            zone.write(f"host{number} A 192.0.2.1\n")
        assert call(self.config.parent / "control.sock", "reload", timeout=60)["changed"]

    def end(self, number: signal.Signals) -> None:
        """End the newest one."""
        self.process.send_signal(number)
        self.process.wait(60)


def main() -> None:
    """Measure and print."""
    title(f"20. Reloaded, replaced, killed and restarted at {RATE:,} queries a second")
    say(
        f"`dnslb run` with {WORKERS} workers, asked from {_SOURCES} addresses, {RATE:,} times a second together; no"
        " query is sent again, and each answer is\nread. `replaced` is by `dnslb run --replace`; `killed` is SIGKILL of"
        " the controller, whose successor starts at once;\n`restarted` is SIGTERM, and a start when it has ended, with"
        " sockets that somebody else keeps, as systemd does."
    )
    with Stage() as stage, machine.ordinary():
        members, port = free_port("127.0.0.11"), free_port()
        Sinks(stage, members, ["127.0.0.11"])
        text = (SERVER + ONE_SERVICE).format(port=port, workers=WORKERS, members=members)
        daemons = Daemons(stage, write_config(stage.directory("dnslb"), text))
        daemons.start()
        seen = {
            f"{RELOADS} reloads": _reloads(daemons, port),
            f"{REPLACES} times replaced": _replaces(daemons, port),
            f"{KILLS} times killed": _kills(daemons, port),
        }
        daemons.end(signal.SIGTERM)
        with _lent(port) as given:
            seen[f"{RESTARTS} times restarted"] = _restarts(daemons, port, given)
            daemons.end(signal.SIGTERM)
    _print(seen)


def _print(seen: dict[str, Seen]) -> None:
    heads = ("queries", "lost", "wrong", "longest wait, ms", "until new workers answer, s", "until they are alone, s")
    table(("", *heads), [(what, *_cells(each)) for what, each in seen.items()])
    for what, each in seen.items():
        figure(f"lost, {what}", each.lost, 0, "")
        figure(f"wrong, {what}", each.wrong, 0, "")
    killed = seen[f"{KILLS} times killed"]
    figure("from a successor's start until its workers answer, median", median(killed.answering), LIMIT, "s")
    figure("from a successor's start until the old workers have gone, median", median(killed.alone), LIMIT, "s")


def _cells(seen: Seen) -> Sequence[str]:
    counts = f"{seen.sent:,}", str(seen.lost), str(seen.wrong), f"{seen.longest:,.0f}"
    return *counts, _times(seen.answering), _times(seen.alone)


def _times(seconds: Sequence[float]) -> str:
    return spread(seconds) if seconds else ""


def _reloads(daemons: Daemons, port: int) -> Seen:
    seen = Seen()
    with _asking(port, seen):
        for number in range(RELOADS):
            daemons.reload(number)
            time.sleep(_CALM / 2)
    return seen


def _replaces(daemons: Daemons, port: int) -> Seen:
    seen = Seen()
    with _asking(port, seen):
        for _ in range(REPLACES):
            old = daemons.process
            _note(seen, daemons.start("--replace"))
            assert old.wait(60) == 0
            time.sleep(_CALM)
    return seen


def _kills(daemons: Daemons, port: int) -> Seen:
    seen = Seen()
    with _asking(port, seen):
        for _ in range(KILLS):
            daemons.end(signal.SIGKILL)
            _note(seen, daemons.start())
            time.sleep(_CALM)
    return seen


def _restarts(daemons: Daemons, port: int, given: Sequence[int]) -> Seen:
    seen = Seen()
    daemons.start(given=given)
    with _asking(port, seen):
        for _ in range(RESTARTS):
            daemons.end(signal.SIGTERM)
            _note(seen, daemons.start(given=given))
            time.sleep(_CALM)
    return seen


def _note(seen: Seen, times: tuple[float, float]) -> None:
    seen.answering.append(times[0])
    seen.alone.append(times[1])


@contextmanager
def _lent(port: int) -> Iterator[list[int]]:
    """Give descriptors of sockets as deploy/dnslb.socket has them made."""
    (group,) = sockets.open_all([(ip_address("127.0.0.1"), port)], WORKERS, shared=False)
    try:
        yield [sock.fileno() for sock in (*group.udp, *group.tcp)]
    finally:
        group.close()


@contextmanager
def _asking(port: int, seen: Seen) -> Iterator[None]:
    """Ask while the block lasts, and note what came of it."""
    script = str(Path(__file__).with_name("stopwatch.py"))
    command = [*machine.first(), sys.executable, script, str(port), str(RATE), "3600", str(_SOURCES), *_EXPECTED]
    asker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(_CALM)
        yield
        time.sleep(_CALM)
        asker.send_signal(signal.SIGTERM)
        found: dict[str, Any] = json.loads(asker.communicate(timeout=60)[0])
    finally:
        asker.kill()
        asker.wait()
    latencies, wrong = found["latencies"], Counter(found["answers"])
    seen.sent, seen.lost = len(latencies) + found["lost"], found["lost"]
    seen.wrong = sum(number for answer, number in wrong.items() if not _is_right(bytes.fromhex(answer)))
    seen.longest = max(latencies) / 1e3


def _is_right(answer: bytes) -> bool:
    """Whether an answer, without its id, is what was asked for and nothing else."""
    message = dns.message.from_wire(bytes(2) + answer)
    (question,) = message.question
    records = [(rrset.name, {record.address for record in rrset}) for rrset in message.answer]
    flags = dns.flags.QR | dns.flags.AA
    right = message.rcode() == dns.rcode.NOERROR and message.flags & flags == flags
    return right and records == [(question.name, {_EXPECTED[question.name.to_text()]})]
