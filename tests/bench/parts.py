"""What the benchmarks start: members, and the daemon with a configuration of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dnslb.server import engine
from tests.e2e import processes
from tests.e2e.processes import Process, process_group, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[2]


SERVER = """
[server]
listen = ["127.0.0.1:{port}"]
workers = {workers}
state = "state"
control = "control.sock"
http = ""
[zone."lb.example.org"]
file = "zone"
"""
"""How a configuration begins that answers on one port, with its zone as `write_config` writes it."""

ONE_SERVICE = """
[probe.tcp]
kind = "tcp"
port = {members}
interval = "1h"
[pool.inbound]
probe = "tcp"
[[pool.inbound.member]]
name = "mx1"
addresses = ["127.0.0.11"]
[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "inbound"
"""
"""One service with one member, which is probed at the start and not again."""

_ZONE = """
$ORIGIN lb.example.org.
$TTL 30
@ SOA ns1 hostmaster 1 3600 600 86400 30
@ NS ns1
ns1 A 127.0.0.1
"""


class Stage(processes.Stage):
    """All that one benchmark has started; what its programs logged is shown only if it fails."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is not None:
            return super().__exit__(kind, error, trace)
        with redirect_stdout(io.StringIO()):
            return super().__exit__(kind, error, trace)


class Sinks:
    """Members in one process of their own (see sink.py); they end with the stage."""

    def __init__(self, stage: Stage, port: int, addresses: Sequence[str]) -> None:
        command = [sys.executable, str(Path(__file__).with_name("sink.py")), str(port), *addresses]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stage.callback(self._end)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        assert self._answers.readline() == "ready\n"

    def order(self, word: str, address: str) -> None:
        """Tell one member to die or to return."""
        self._orders.write(f"{word} {address}\n")
        self._orders.flush()

    def hear(self) -> tuple[str, str, float]:
        """Wait for the next that has died or returned: word, address, time on the monotonic clock."""
        word, address, at = self._answers.readline().split()
        return word, address, float(at)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._answers.close()


def write_config(directory: Path, text: str) -> Path:
    """Write a configuration, and beside it the file `zone` of lb.example.org; return the configuration's path."""
    config = directory / "dnslb.toml"
    config.write_text(text)
    (directory / "zone").write_text(_ZONE)
    return config


def start_daemon(  # noqa: PLR0913 - what is unlike, by keyword
    stage: Stage, config: Path, prefix: Sequence[str] = (), *, name: str = "", seconds: float = 60, pure: bool = False
) -> Process:
    """Start `dnslb run`, wait until it says that it is ready, and return it; `pure` has Python answer.

    Each of several with one configuration needs a `name` for its log.
    """
    command = [*prefix, sys.executable, "-m", "dnslb", "run", "-c", str(config)]
    environment = {"PYTHONPATH": str(ROOT)} | ({engine.PURE: "1"} if pure else {})
    daemon = stage.start(name or config.parent.name, command, environment)
    until(lambda: _is_ready(daemon), "dnslb is ready", seconds=seconds)
    return daemon


def _is_ready(daemon: Process) -> bool:
    log = daemon.log.read_text()
    assert daemon.is_running(), log
    return '"ready"' in log


def workers_of(daemon: Process) -> list[int]:
    """Return the processes that answer."""
    return sorted(pid for pid in daemon.group() - {daemon.pid} if process_group(pid) is not None)
