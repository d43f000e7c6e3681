"""The same zone in three servers: dnslb, gdnsd and NSD, one answering process or thread each, all on one core."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query

from tests.bench import machine
from tests.bench.parts import Sinks, Stage, start_daemon
from tests.e2e.processes import Process, free_port, program, until

if TYPE_CHECKING:
    from pathlib import Path

SERVER_CORE = "0"
CLIENT_CORE = "1"
_PINNED = ("taskset", "-c", SERVER_CORE)
_HOSTS = {"mx1": "127.0.0.11", "mx2": "127.0.0.12", "mx3": "127.0.0.13", "mx4": "127.0.0.14"}
_STATIC = """
$ORIGIN lb.example.org.
$TTL 300
@ 30 SOA ns1 hostmaster.example.org. ( 1 3600 600 604800 30 )
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
"""
_EQUIVALENT = """
relay 30 A 127.0.0.11
relay 30 A 127.0.0.12
relay 30 AAAA ::1
mail 30 MX 10 mx1
mail 30 MX 20 mx2
mail 30 MX 30 mx3
mail 30 MX 40 mx4
mx1 30 AAAA ::1
""" + "".join(f"{name} 30 A {address}\n" for name, address in _HOSTS.items())

_DNSLB = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
state = "state"
control = "control.sock"
http = ""
[zone."lb.example.org"]
file = "zone"
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
_MEMBER = """
[[pool.inbound.member]]
name = "{name}"
addresses = [{addresses}]
weight = {weight}
"""
_GDNSD = 'options => {{ listen => [ "127.0.0.1:{port}" ], run_dir => {d}/run, state_dir => {d}/state, \
udp_threads => 1, tcp_threads => 1 }}\n'
# Response rate limiting is on in Debian's build, and would drop nearly all. Minimal responses are NSD's fastest.
_NSD = """
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: root
  database: ""
  pidfile: {d}/pid
  xfrdfile: {d}/xfrd
  zonelistfile: {d}/zonelist
  xfrdir: {d}
  zonesdir: {d}
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
zone:
  name: lb.example.org
  zonefile: zone
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
    return [
        name for name in ("gdnsd", "nsd", "dnsperf", "taskset") if shutil.which(name, path="/usr/bin:/usr/sbin") is None
    ]


def start_all(stage: Stage) -> list[Server]:
    """Start the three, dnslb first, and wait until each answers."""
    servers = [_dnslb(stage), _gdnsd(stage), _nsd(stage)]
    for server in servers:
        until(lambda server=server: _answers(server), f"{server.name} answers")  # type: ignore[misc]  # a loop variable
    return servers


def _answers(server: Server) -> bool:
    assert server.process.is_running(), server.process.log.read_text()
    try:
        dns.query.udp(dns.message.make_query("lb.example.org", "NS"), "127.0.0.1", 1, server.port)
    except (dns.exception.Timeout, OSError):
        return False
    return True


def _dnslb(stage: Stage) -> Server:
    port, members, directory = free_port(), free_port(*_HOSTS.values()), stage.directory("dnslb")
    Sinks(stage, members, [*_HOSTS.values(), "::1"])
    pool = ""
    for name, address, weight in zip(_HOSTS, _HOSTS.values(), (5, 3, 1, 1), strict=True):
        addresses = f'"{address}", "::1"' if name == "mx1" else f'"{address}"'
        pool += _MEMBER.format(name=name, addresses=addresses, weight=weight)
    config = directory / "dnslb.toml"
    config.write_text(_DNSLB.format(port=port, members=members, inbound=pool))
    (directory / "zone").write_text(_STATIC)
    return Server("dnslb", port, start_daemon(stage, config, _PINNED))


def _gdnsd(stage: Stage) -> Server:
    port, directory = free_port(), stage.directory("gdnsd")
    for name in ("zones", "run", "state"):
        (directory / name).mkdir()
    (directory / "config").write_text(_GDNSD.format(port=port, d=directory))
    _write_equivalent(directory / "zones" / "lb.example.org")
    command = [*_PINNED, program("gdnsd"), "-c", str(directory), "start"]
    return Server("gdnsd", port, stage.start("gdnsd", command))


def _nsd(stage: Stage) -> Server:
    port, directory = free_port(), stage.directory("nsd")
    (directory / "nsd.conf").write_text(_NSD.format(port=port, d=directory))
    _write_equivalent(directory / "zone")
    command = [*_PINNED, program("nsd"), "-d", "-c", str(directory / "nsd.conf")]
    return Server("nsd", port, stage.start("nsd", command))


def _write_equivalent(path: Path) -> None:
    path.write_text(_STATIC + _EQUIVALENT)
