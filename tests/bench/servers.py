"""The same zone in dnslb, with either engine, and its rivals, one answering process or thread each, all on one core."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.query

from dnslb.server import engine
from tests.bench import machine, rivals
from tests.bench.parts import SERVER, Sinks, Stage, start_daemon
from tests.e2e.processes import Process, free_port, until

SERVER_CORE = "0"
CLIENT_CORE = "1"
FAST, PURE = "dnslb", "dnslb, pure Python"
_PINNED = ("taskset", "-c", SERVER_CORE)

_DNSLB = (
    SERVER
    + """
# As from any client of the Internet, and with room for a saturated worker.
[server.rate_limit]
per_second = 1000000
exempt = []
[probe.inbound]
kind = "smtp"
port = {members}
interval = "60s"
[pool.inbound]
probe = "inbound"
{inbound}
[[service]]
name = "relay.lb.example.org"
type = "address"
pool = "inbound"
records = 2
ttl = 30
[[service]]
name = "mail.lb.example.org"
type = "MX"
pool = "inbound"
records = "all"
preference = "ranked"
ttl = 30
"""
)
_MEMBER = """
[[pool.inbound.member]]
name = "{name}"
addresses = [{addresses}]
weight = {weight}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on a port of 127.0.0.1."""

    name: str
    port: int
    process: Process

    def cpu(self) -> dict[int, machine.Cpu]:
        """Return the CPU time of each of its processes."""
        return {pid: machine.cpu(pid) for pid in self.process.group()}


def missing() -> list[str]:
    """Return the programs that are not installed."""
    wanted = (*rivals.PROGRAMS.values(), "dnsperf", "taskset")
    return [name for name in wanted if shutil.which(name, path="/usr/bin:/usr/sbin") is None]


def start_all(stage: Stage) -> list[Server]:
    """Start all, dnslb first, and wait until each answers. Where there is no C extension there is no FAST."""
    members = free_port(*rivals.HOSTS.values())
    Sinks(stage, members, [*rivals.HOSTS.values(), "::1"])
    ours = (FAST, PURE) if engine.extension() else (PURE,)
    servers = [_dnslb(stage, members, name) for name in ours]
    servers += [Server(name, *start(stage, _PINNED, members)) for name, start in rivals.START.items()]
    for server in servers:
        until(lambda server=server: _answers(server), f"{server.name} answers")  # type: ignore[misc]  # a loop variable
    return servers


def _answers(server: Server) -> bool:
    """Say whether a service is answered for: PowerDNS has probed the members by then."""
    assert server.process.is_running(), server.process.log.read_text()
    try:
        query = dns.message.make_query("relay.lb.example.org", "A")
        reply = dns.query.udp(query, "127.0.0.1", 1, server.port)
    except (dns.exception.Timeout, OSError):
        return False
    return bool(reply.answer)


def _dnslb(stage: Stage, members: int, name: str) -> Server:
    port, directory = free_port(), stage.directory(name)
    pool = ""
    for member, address, weight in zip(rivals.HOSTS, rivals.HOSTS.values(), (5, 3, 1, 1), strict=True):
        addresses = f'"{address}", "::1"' if member == "mx1" else f'"{address}"'
        pool += _MEMBER.format(name=member, addresses=addresses, weight=weight)
    config = directory / "dnslb.toml"
    config.write_text(_DNSLB.format(port=port, workers=1, members=members, inbound=pool))
    (directory / "zone").write_text(rivals.STATIC)
    return Server(name, port, start_daemon(stage, config, _PINNED, pure=name == PURE))
