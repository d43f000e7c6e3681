"""From the end of a worker, or its standstill, to the answers of the one that replaces it."""

from __future__ import annotations

import os
import signal
import socket
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tests.bench.parts import SERVER, Stage, start_daemon, workers_of, write_config
from tests.bench.report import figure, say, spread, table, title
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Process

ROUNDS = 10
LIMIT = 1000.0
NAMES = 10_000
_CALM_SECONDS = 1.5
"""One that dies younger would be replaced after a pause."""
_PAUSE = 0.01
_MOST_SECONDS = 20.0
_FIRST = ip_address("10.0.0.1")
_ENDS = {"SIGKILL": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}
_QUESTION = b"\x00\x01\x00\x00\x00\x00\x00\x00\x03ns1\x02lb\x07example\x03org\x00\x00\x01\x00\x01"


def main() -> None:
    """Measure and print."""
    title("14. From a worker's end to the answers of the one that replaces it")
    say(
        f"`dnslb run` with one worker, which is killed (SIGKILL) or stopped (SIGSTOP), {ROUNDS} times each. From then\n"
        f"on one UDP query every {1000 * _PAUSE:.0f} ms, none of them sent again, until one is answered; then until all"
        " are."
    )
    rows, took = [], {}
    for names in (0, NAMES):
        with Stage() as stage:
            port = free_port()
            daemon = start_daemon(stage, _write(stage.directory("dnslb"), port, names))
            for name, number in _ENDS.items():
                case = f"{name}, {f'{names:,} names' if names else 'a small zone'}"
                rounds = [_round(daemon, port, number) for _ in range(ROUNDS)]
                took[case] = [1000 * seconds for seconds, _ in rounds]
                rows.append((case, spread(took[case], ".0f"), str(sum(lost for _, lost in rounds))))
    table(("", "to the first answer, median ms (from, to)", "lost queries"), rows)
    for case, milliseconds in took.items():
        figure(f"to the first answer, {case}, most", max(milliseconds), LIMIT, "ms")


def _write(directory: Path, port: int, names: int) -> Path:
    config = write_config(directory, SERVER.format(port=port, workers=1))
    with (directory / "zone").open("a") as zone:
        zone.writelines(f"host{number} A {_FIRST + number}\n" for number in range(names))
    return config


def _round(daemon: Process, port: int, number: signal.Signals) -> tuple[float, int]:
    """End the worker; return the seconds until its socket answered again, and how many queries never were."""
    time.sleep(_CALM_SECONDS)
    (worker,) = workers_of(daemon)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(_PAUSE)
        os.kill(worker, number)
        began, asked = time.monotonic(), 0
        while not _receives(client):
            assert time.monotonic() - began < _MOST_SECONDS, "no answer"
            client.send(_QUESTION)
            asked += 1
        took = time.monotonic() - began
        client.settimeout(1)
        answered = 1
        while answered < asked and _receives(client):
            answered += 1
    until(lambda: len(workers_of(daemon)) == 1, "one worker")
    return took, asked - answered


def _receives(client: socket.socket) -> bool:
    try:
        return bool(client.recv(512))
    except TimeoutError:
        return False
