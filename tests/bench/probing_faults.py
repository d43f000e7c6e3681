"""From a fault of a member to the first answer without it, through the real daemon and DNS queries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import dns.message
import dns.query
import dns.rdatatype

from tests.bench.parts import SERVER, Stage, start_daemon, write_config
from tests.bench.probing_servers import Certificates, Responder
from tests.bench.report import say, table
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EACH = 4
"""How many members of their own pools have each fault."""
MEMBERS = 3
CALM_SECONDS = 5.0
PAUSE = 0.02
MOST_SECONDS = 200.0

_CONFIG = (
    SERVER
    + """
[probe.inbound]
kind = "smtp"
port = {members}
rcpt_to = "postmaster@example.org"
[probe.verified]
kind = "smtp"
port = {members}
verify = "name"
ca_file = "{authority}"
certificate_interval = "60s"
"""
)
_POOL = """
[pool.{pool}]
probe = "{probe}"
[[service]]
name = "{pool}.lb.example.org"
type = "address"
pool = "{pool}"
records = "all"
ttl = 0
"""
_MEMBER = '[[pool.{pool}.member]]\nname = "{name}"\naddresses = ["{address}"]\n'


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: the order that the responder takes for it, and what its probe does to find it."""

    name: str
    order: str
    found_by: str
    probe: str = "inbound"


FAULTS = (
    Fault("killed process", "kill", "connect, every 10 s; 3 failures, 1 s and 2 s apart"),
    Fault("hung process: accepts, never greets", "hang", "greeting, every 10 s; 3 failures of 10 s (timeout) each"),
    Fault("554 to the domain", "refuse_domain", "RCPT, every 60 s; confirmed once, 1 s later"),
    Fault("full disk (452)", "full", "MAIL, every 60 s; confirmed once, 1 s later"),
    Fault("expired certificate", "show", "handshake, every 60 s; confirmed once, 1 s later", "verified"),
)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, whose first member is to have the fault."""

    name: str
    fault: Fault
    addresses: tuple[str, ...]


def measure(stage: Stage, certificates: Certificates) -> None:
    """Measure and print."""
    say(
        f"\nFrom a fault to the first answer without the member: {EACH} members of each kind, in pools of {MEMBERS},"
        " all at once\nand at any moment of their intervals. Intervals and thresholds are those by default, but that"
        " certificates are looked at\nevery 60 s and not every 15 min, and with verify = name: else they do not take a"
        f" member out. Each name is asked for every\n{1000 * PAUSE:.0f} ms."
    )
    pools = [
        Pool(f"pool{count}", fault, tuple(f"127.2.{count}.{number + 1}" for number in range(MEMBERS)))
        for count, fault in enumerate(FAULTS * EACH)
    ]
    members = free_port(*(address for pool in pools for address in pool.addresses))
    port = free_port()
    servers = _serve(stage, members, pools, certificates)
    start_daemon(stage, _write(stage.directory("dnslb"), port, members, pools, certificates))
    time.sleep(CALM_SECONDS)
    began = time.monotonic()
    for pool in pools:
        _break(servers, pool, certificates)
    gone = _watch(port, pools)
    _print(pools, began, gone, _met(servers.steady, pools))


@dataclass(frozen=True, slots=True)
class Servers:
    """The process that all members are in, but for those that are to be killed."""

    steady: Responder
    doomed: dict[str, Responder]


def _serve(stage: Stage, port: int, pools: Iterable[Pool], certificates: Certificates) -> Servers:
    doomed = [pool.addresses[0] for pool in pools if pool.fault.order == "kill"]
    steady = [address for pool in pools for address in pool.addresses if address not in doomed]
    return Servers(
        Responder(stage, port, steady, certificates.good),
        {address: Responder(stage, port, [address], certificates.good) for address in doomed},
    )


def _write(directory: Path, port: int, members: int, pools: Iterable[Pool], certificates: Certificates) -> Path:
    text = _CONFIG.format(port=port, workers=1, members=members, authority=certificates.authority)
    for pool in pools:
        text += _POOL.format(pool=pool.name, probe=pool.fault.probe)
        for number, address in enumerate(pool.addresses):
            text += _MEMBER.format(pool=pool.name, name=f"{pool.name}-{number}", address=address)
    return write_config(directory, text)


def _break(servers: Servers, pool: Pool, certificates: Certificates) -> None:
    address = pool.addresses[0]
    if pool.fault.order == "kill":
        servers.doomed[address].kill()
    elif pool.fault.order == "show":
        servers.steady.order("show", address, certificates.expired)
    else:
        servers.steady.order(pool.fault.order, address)


def _watch(port: int, pools: Iterable[Pool]) -> dict[str, float]:
    """Ask until no answer holds its pool's faulty member; return when each was first seen so."""
    left = {pool.name: pool for pool in pools}
    gone: dict[str, float] = {}
    deadline = time.monotonic() + MOST_SECONDS
    while left:
        assert time.monotonic() < deadline, f"still in answers: {[pool.fault.name for pool in left.values()]}"
        for pool in list(left.values()):
            if pool.addresses[0] not in _addresses(port, pool.name):
                gone[pool.name] = time.monotonic()
                del left[pool.name]
        time.sleep(PAUSE)
    return gone


def _addresses(port: int, pool: str) -> set[str]:
    reply = dns.query.udp(dns.message.make_query(f"{pool}.lb.example.org", "A"), "127.0.0.1", 2, port)
    found = {str(rdata) for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A for rdata in rrset}
    assert found, reply
    return found


def _met(responder: Responder, pools: Iterable[Pool]) -> dict[str, float]:
    """Return when a probe first met each fault, by address; nobody can tell that of a killed process."""
    waiting = sum(pool.fault.order != "kill" for pool in pools)
    lines = [responder.hear() for _ in range(waiting)]
    return {address: float(at) for _, address, at in lines}


def _print(pools: Iterable[Pool], began: float, gone: dict[str, float], met: dict[str, float]) -> None:
    rows = []
    for fault in FAULTS:
        here = [pool for pool in pools if pool.fault is fault]
        seconds = [gone[pool.name] - began for pool in here]
        after = [gone[pool.name] - met[pool.addresses[0]] for pool in here if pool.addresses[0] in met]
        since = f"{max(after):.2f}" if after else "-"
        rows.append((fault.name, *(f"{pick(seconds):.1f}" for pick in (min, median, max)), since, fault.found_by))
    table(("fault to out of answers, s", "least", "median", "most", "most after it was met", "found by"), rows)
