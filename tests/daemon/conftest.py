"""`dnslb run` in a process of its own, on loopback, with members that the test opens and closes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from dnslb.control.client import call

T = TypeVar("T")

SERVER = """
[server]
listen = ["127.0.0.1:{port}"{listen_too}]
workers = {workers}
state = "state"
control = "state/control.sock"
http = "127.0.0.1:{http}"
{more}

[zone."lb.test"]
file = "lb.test.zone"

[probe.connect]
kind = "tcp"
port = {member_port}
interval = "{interval}"
timeout = "{timeout}"
rise = 1
fall = {fall}

[pool.mail]
probe = "connect"

[[service]]
name = "relay.lb.test"
type = "address"
pool = "mail"
records = "all"
ttl = {ttl}
"""
MEMBER = '[[pool.mail.member]]\nname = "{name}"\naddresses = ["{address}"]\nweight = {weight}\n'
ZONE = """$ORIGIN lb.test.
$TTL 30
@ SOA ns hostmaster 100 3600 600 86400 30
@ NS ns
ns A 127.0.0.1
"""
ADDRESSES = {"mx1": "127.0.1.1", "mx2": "127.0.1.2", "mx3": "127.0.1.3"}


def until(condition: Callable[[], T], what: str) -> T:
    """Return the condition's first true answer; fail if there is none."""
    deadline = time.monotonic() + 30
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
    return answer


def runs(pid: int) -> bool:
    """Say whether a process has not ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Members:
    """TCP listeners, one a member, all on the same port of different loopback addresses."""

    def __init__(self) -> None:
        first = socket.create_server((ADDRESSES["mx1"], 0), backlog=1024)
        self.port: int = first.getsockname()[1]
        self._listeners = {"mx1": first}
        for name in ("mx2", "mx3"):
            self.open(name)

    def open(self, name: str) -> None:
        """Have a member take connections."""
        self._listeners[name] = socket.create_server((ADDRESSES[name], self.port), backlog=1024)

    def close(self, name: str) -> None:
        """Have a member refuse connections."""
        self._listeners.pop(name).close()

    def close_all(self) -> None:
        """End them."""
        for listener in self._listeners.values():
            listener.close()


class Daemon:
    """One `dnslb run` at a time on the same files and, once it has been ready, the same port."""

    def __init__(self, directory: Path, members: Members) -> None:
        self.directory, self.members = directory, members
        self.config = directory / "dnslb.toml"
        self.state = directory / "state"
        self._stderr = directory / "stderr"
        self.port = 0
        self.values: dict[str, object] = {
            "port": 0,
            "listen_too": "",
            "http": 0,
            "more": "",
            "workers": 1,
            "interval": "200ms",
            "timeout": "2s",
            "fall": 3,
            "ttl": 30,
            "member_port": members.port,
        }
        self.weights = {"mx1": 50, "mx2": 50}
        self.more = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: set[int] = set()
        (directory / "lb.test.zone").write_text(ZONE)

    def configure(self, **values: object) -> None:
        """Write the configuration with these values in place of those before."""
        self.values |= values
        members = [MEMBER.format(name=name, address=ADDRESSES[name], weight=n) for name, n in self.weights.items()]
        self.config.write_text(SERVER.format(**self.values) + "".join(members) + self.more)

    def launch(self, *before: str, replace: bool = False) -> subprocess.Popen[bytes]:
        """Start it, by the command `before` if there is one, and return at once."""
        self.configure(port=self.port)
        return self.launch_as_written(*before, replace=replace)

    def launch_as_written(self, *before: str, replace: bool = False) -> subprocess.Popen[bytes]:
        """Do the same with the configuration as it stands in the file."""
        command = [*before, sys.executable, "-m", "dnslb", "run", "-c", str(self.config), *["--replace"] * replace]
        self._stderr = self.directory / f"stderr{len(self._processes)}"
        with self._stderr.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
        self._processes.append(process)
        return process

    def start(self, **values: object) -> subprocess.Popen[bytes]:
        """Start it and wait until it is ready."""
        self.values |= values
        return self.begin(self.launch())

    def begin(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Wait until what has been launched is ready."""
        ready = until(lambda: self.logged("ready", process), "the daemon is ready")
        self.port = int(ready["listen"][0].rpartition(":")[2])
        self.worker_pids()
        return process

    def stderr(self) -> str:
        """Return what the latest one wrote."""
        return self._stderr.read_text()

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines of the latest one."""
        lines = [line for line in self.stderr().splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str, process: subprocess.Popen[bytes] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the log line of an event, None if there is none; the process must still run."""
        assert process is None or process.poll() is None, self.stderr()
        return next((line for line in self.log() if line["event"] == event), None)

    def ask(
        self, name: str = "relay.lb.test", rtype: str = "A", options: Sequence[dns.edns.Option] = ()
    ) -> dns.message.Message:
        """Ask over UDP."""
        query = dns.message.make_query(name, rtype, options=list(options) or None)
        return dns.query.udp(query, "127.0.0.1", timeout=20, port=self.port)

    def members_in_answer(self) -> set[str]:
        """Return the members whose addresses the relay's name is answered with."""
        answer = self.ask()
        assert answer.rcode() == dns.rcode.NOERROR
        names = {address: name for name, address in ADDRESSES.items()}
        return {names[record.address] for rrset in answer.answer for record in rrset}

    def serial(self) -> int:
        """Return the zone's serial."""
        serial: int = self.ask("lb.test", "SOA").answer[0][0].serial
        return serial

    def call(self, verb: str, **args: object) -> Any:  # noqa: ANN401 - JSON
        """Ask over the control socket."""
        return call(self.state / "control.sock", verb, args, timeout=30)

    def member(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return a member's status."""
        return self.call("status")["pools"]["mail"]["members"][name]

    def worker_pids(self) -> list[int]:
        """Return the workers, which end with the test at the latest."""
        pids: list[int] = [worker["pid"] for worker in self.call("status")["workers"]]
        self._workers.update(pids)
        return pids

    def stop(self) -> int:
        """End the latest one by SIGTERM; return its exit status."""
        self._processes[-1].send_signal(signal.SIGTERM)
        return self._processes[-1].wait(30)

    def kill(self) -> None:
        """Kill the latest one; its workers answer on."""
        self._processes[-1].kill()
        self._processes[-1].wait(30)

    def end(self) -> None:
        """End all there is, whatever has happened."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


@contextmanager
def prepared(directory: Path) -> Iterator[Daemon]:
    """Give a daemon that is not started, with mx1 and mx2 in its pool; all that it becomes is ended."""
    members = Members()
    made = Daemon(directory, members)
    try:
        yield made
    finally:
        made.end()
        members.close_all()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon that is not started, with mx1 and mx2 in its pool."""
    with prepared(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with two workers that several tests ask, and none changes."""
    with prepared(tmp_path_factory.mktemp("running")) as made:
        made.start(workers=2)
        yield made
