"""The rivals from Debian, each with one answering process or thread, response rate limiting off.

gdnsd, NSD and BIND answer cookies. Knot and PowerDNS, which would have new clients ask twice, are left to ignore them.
gdnsd, NSD, Knot and BIND hold the services of dnslb as static records. PowerDNS picks its answers by Lua records from
those members that accept connections, which comes next to what dnslb does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.processes import free_port, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.parts import Stage
    from tests.e2e.processes import Process

HOSTS = {"mx1": "127.0.0.11", "mx2": "127.0.0.12", "mx3": "127.0.0.13", "mx4": "127.0.0.14"}
STATIC = """
$ORIGIN lb.example.org.
$TTL 300
@ 30 SOA ns1 hostmaster.example.org. ( 1 3600 600 604800 30 )
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
mail TXT "v=spf1 mx -all"
"""
_MEMBERS = "mx1 30 AAAA ::1\n" + "".join(f"{name} 30 A {address}\n" for name, address in HOSTS.items())
_MX = {name: 10 * place for place, name in enumerate(HOSTS, 1)}
_EQUIVALENT = "".join(
    (
        "relay 30 A 127.0.0.11\nrelay 30 A 127.0.0.12\nrelay 30 AAAA ::1\n",
        *(f"mail 30 MX {preference} {name}\n" for name, preference in _MX.items()),
        _MEMBERS,
    )
)
_LUA = """
relay 30 LUA A "pickrandomsample(2, ifportup({members}, {{{addresses}}}, {{selector='all'}}))"
relay 30 LUA AAAA "ifportup({members}, {{'::1'}})"
mail 30 LUA MX ";return {{{listed}}}"
"""

_GDNSD = 'options => {{ listen => [ "127.0.0.1:{port}" ], run_dir => {d}/run, state_dir => {d}/state, \
udp_threads => 1, tcp_threads => 1 }}\n'
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
  answer-cookie: yes
remote-control:
  control-enable: no
zone:
  name: lb.example.org
  zonefile: zone
"""
_KNOT = """
server:
  listen: 127.0.0.1@{port}
  rundir: {d}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {d}
template:
  - id: default
    storage: {d}
zone:
  - domain: lb.example.org
    file: zone
"""
_BIND = """
options {{
  directory "{d}";
  pid-file "{d}/pid";
  session-keyfile "{d}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  minimal-responses yes;
  dnssec-validation no;
}};
controls {{ }};
zone "lb.example.org" {{ type primary; file "zone"; }};
"""
_POWERDNS = """
launch=bind
bind-config={d}/named.conf
local-address=127.0.0.1
local-port={port}
receiver-threads=1
distributor-threads=1
enable-lua-records=yes
socket-dir={d}
security-poll-suffix=
daemon=no
guardian=no
"""
_POWERDNS_ZONES = 'zone "lb.example.org" {{ type master; file "{d}/zone"; }};\n'

Start = tuple[int, "Process"]
"""The port of 127.0.0.1 that the server answers on, and its process."""


def _gdnsd(stage: Stage, pinned: tuple[str, ...], _members: int) -> Start:
    port, directory = free_port(), stage.directory("gdnsd")
    for name in ("zones", "run", "state"):
        (directory / name).mkdir()
    (directory / "config").write_text(_GDNSD.format(port=port, d=directory))
    _write_equivalent(directory / "zones" / "lb.example.org")
    return port, stage.start("gdnsd", [*pinned, program("gdnsd"), "-c", str(directory), "start"])


def _nsd(stage: Stage, pinned: tuple[str, ...], _members: int) -> Start:
    port, config = _configure(stage, "nsd", _NSD)
    return port, stage.start("nsd", [*pinned, program("nsd"), "-d", "-c", str(config)])


def _knot(stage: Stage, pinned: tuple[str, ...], _members: int) -> Start:
    port, config = _configure(stage, "knot", _KNOT)
    return port, stage.start("knot", [*pinned, program("knotd"), "-c", str(config)])


def _bind(stage: Stage, pinned: tuple[str, ...], _members: int) -> Start:
    port, config = _configure(stage, "bind", _BIND)
    return port, stage.start("bind", [*pinned, program("named"), "-n", "1", "-g", "-c", str(config)])


def _powerdns(stage: Stage, pinned: tuple[str, ...], members: int) -> Start:
    port, config = _configure(stage, "powerdns", _POWERDNS, "pdns.conf")
    directory = config.parent
    (directory / "named.conf").write_text(_POWERDNS_ZONES.format(d=directory))
    lua = _LUA.format(
        members=members,
        addresses=", ".join(f"'{address}'" for address in HOSTS.values()),
        listed=", ".join(f"'{preference} {name}.lb.example.org.'" for name, preference in _MX.items()),
    )
    (directory / "zone").write_text(STATIC + lua + _MEMBERS)
    return port, stage.start("powerdns", [*pinned, program("pdns_server"), f"--config-dir={directory}"])


def _configure(stage: Stage, name: str, text: str, file: str = "conf") -> tuple[int, Path]:
    """Write a server's configuration and zone; return its port and the configuration's path."""
    port, directory = free_port(), stage.directory(name)
    (directory / file).write_text(text.format(port=port, d=directory))
    _write_equivalent(directory / "zone")
    return port, directory / file


def _write_equivalent(path: Path) -> None:
    path.write_text(STATIC + _EQUIVALENT)


START: dict[str, Callable[[Stage, tuple[str, ...], int], Start]] = {
    "gdnsd": _gdnsd,
    "NSD": _nsd,
    "Knot": _knot,
    "BIND": _bind,
    "PowerDNS": _powerdns,
}
"""How each rival is started: on a stage, by a command before its own, beside members that listen on a port."""
PROGRAMS = {"gdnsd": "gdnsd", "NSD": "nsd", "Knot": "knotd", "BIND": "named", "PowerDNS": "pdns_server"}
PACKAGES = ("gdnsd", "nsd", "knot", "bind9", "pdns-server", "pdns-backend-bind", "dnsperf")
"""The Debian packages of all that is measured, and of what measures."""
