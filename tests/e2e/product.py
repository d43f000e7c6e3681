"""The daemon under test: `dnslb run` with a configuration of its own, and the commands of its operator."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

from tests.e2e.processes import Process, Stage, free_port, until
from tests.e2e.resolvers import answers, ask, rdatas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


SERVER = """
[server]
listen = {listen}
workers = 2
state = "state"
control = "state/control.sock"
http = "{http}"
{server}

[zone."lb.test"]
file = "lb.test.zone"

[probe.quick]
kind = "smtp"
port = {members}
interval = "{interval}"
timeout = "5s"
rise = 1
fall = 2
{probe}
"""
MEMBER = """
[[pool.mail.member]]
name = "{name}"
addresses = ["{address}"]
weight = {weight}
"""
SERVICES = """
[[service]]
name = "relay.lb.test"
type = "address"
pool = "mail"
records = 2
ttl = 0

[[service]]
name = "single.lb.test"
type = "address"
pool = "mail"
records = 1
ttl = 0

[[service]]
name = "every.lb.test"
type = "address"
pool = "mail"
records = "all"
ttl = 0

[[service]]
name = "mail.lb.test"
type = "MX"
pool = "mail"
records = "all"
preference = "ranked"
ttl = 0
"""
ZONE = """
$ORIGIN lb.test.
$TTL 30
@ SOA ns hostmaster 1 3600 600 86400 30
@ NS ns
ns A 127.0.0.1
"""


class Pooled(Protocol):
    """Mail servers that are a pool's members: their addresses by name, and the port that they share."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Return each member's address."""

    @property
    def port(self) -> int:
        """Return the port of all."""


def pool(members: Pooled, weights: Mapping[str, int] | None = None, keys: str = "") -> str:
    """Return the configuration of the pool `mail`; members that `weights` does not name weigh 1.

    `keys` are more lines of its table.
    """
    weighed = dict.fromkeys(members.addresses, 1) | dict(weights or {})
    text = [
        MEMBER.format(name=name, address=members.addresses[name], weight=weight) for name, weight in weighed.items()
    ]
    return f'[pool.mail]\nprobe = "quick"\n{keys}\n' + "".join(text)


class Daemon:
    """A `dnslb run` on a port of 127.0.0.1 that stays the same when it is started again."""

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a test may speak of
        self,
        stage: Stage,
        members: Pooled,
        *,
        weights: Mapping[str, int] | None = None,
        zone: str = "",
        probe: str = "",
        keys: str = "",
        listen: Sequence[str] = ("127.0.0.1",),
        http: str = "",
        server: str = "",
        interval: str = "500ms",
        services: str = SERVICES,
    ) -> None:
        self._stage, self._members, self._probe, self._keys, self._http = stage, members, probe, keys, http
        self._server, self._interval, self._services = server, interval, services
        self.directory, self.port = stage.directory("dnslb"), free_port()
        self._listen = [f"{address}:{self.port}" for address in listen]
        self.config = self.directory / "dnslb.toml"
        (self.directory / "lb.test.zone").write_text(ZONE + zone)
        self.configure(weights)
        self.process = self.start()

    def configure(self, weights: Mapping[str, int] | None = None) -> None:
        """Write the configuration file, with these weights."""
        listen, port = json.dumps(self._listen), self._members.port
        server = SERVER.format(
            listen=listen,
            http=self._http,
            members=port,
            probe=self._probe,
            server=self._server,
            interval=self._interval,
        )
        self.config.write_text(server + pool(self._members, weights, self._keys) + self._services)

    def start(self) -> Process:
        """Start the daemon, and wait until it answers."""
        self.process = self._stage.start("dnslb", [sys.executable, "-m", "dnslb", "run", "-c", str(self.config)])
        until(self._is_ready, "dnslb answers")
        return self.process

    def _is_ready(self) -> bool:
        assert self.process.is_running(), self.process.log.read_text()
        return answers(self.port, "every.lb.test", "A") and self.cli("status").returncode == 0

    def stop(self) -> int:
        """Ask the daemon to end; returns its exit status."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait()

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the operator."""
        command = [sys.executable, "-m", "dnslb", *words, "-c", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def status(self) -> Any:  # noqa: ANN401 - JSON, as the contract has it
        """Return what `dnslb status --json` says."""
        done = self.cli("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def member(self, name: str) -> Any:  # noqa: ANN401 - JSON, as the contract has it
        """Return what the status says of one member."""
        return self.status()["pools"]["mail"]["members"][name]

    def published(self) -> set[str]:
        """Return the members that an answer with all of them holds now."""
        names = {address: name for name, address in self._members.addresses.items()}
        found = [rdatas(ask(self.port, "every.lb.test", rdtype), rdtype) for rdtype in ("A", "AAAA")]
        return {names[address] for addresses in found for address in addresses}

    def wait_published(self, *names: str) -> None:
        """Wait until exactly these members are published."""
        until(lambda: self.published() == set(names), f"published are {names}")
