"""From a member's death to the first answer without it, beside the time that confirming a death takes."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import dns.message
import dns.query
import dns.rdatatype

from tests.bench.parts import SERVER, Sinks, Stage, start_daemon, write_config
from tests.bench.report import figure, say, table, title
from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 4
CONFIRM_SECONDS = 3.0
LIMIT = 50.0
_PAUSE = 0.005
_MOST_SECONDS = 20.0
_MEMBERS = {f"mx{number}": f"127.0.0.{10 + number}" for number in range(1, 6)}
_DYING = list(_MEMBERS.values())[:-1]
_NAME = "every.lb.example.org"

# The interval is the shortest that the confirming probes, 1 s and 2 s apart, are not themselves bounded by.
_CONFIG = (
    SERVER
    + """
[probe.inbound]
kind = "smtp"
port = {members}
interval = "3s"
rise = 1
fall = 3
[pool.inbound]
probe = "inbound"
[[service]]
name = "every.lb.example.org"
type = "address"
pool = "inbound"
records = "all"
ttl = 0
"""
)
_MEMBER = '[[pool.inbound.member]]\nname = "{name}"\naddresses = ["{address}"]\n'


def main() -> None:
    """Measure and print."""
    title("2. From a member's death to the first answer without it")
    say(
        "A member dies (stops listening, breaks its connections) in the very moment when a probe reaches it: its\n"
        "first failed probe begins with its death, and the confirming ones follow 1 s and 3 s later (fall = 3). A\n"
        "death between two probes takes longer by the time to the next one, at most one interval. Four members die\n"
        f"at a time. One UDP query every {1000 * _PAUSE:.0f} ms asks for all; a death is seen so much late at most."
    )
    with Stage() as stage:
        port, members = free_port(), free_port(*_MEMBERS.values())
        sinks = Sinks(stage, members, list(_MEMBERS.values()))
        start_daemon(stage, _write(stage.directory("dnslb"), port, members))
        seconds = [took for _ in range(ROUNDS) for took in _round(sinks, port)]
    _print(seconds)


def _print(seconds: list[float]) -> None:
    over = [1000 * (took - CONFIRM_SECONDS) for took in seconds]
    rows = [
        ("death to the first answer without it, s", *(f"{pick(seconds):.3f}" for pick in (min, median, max))),
        (f"over the confirm time of {CONFIRM_SECONDS} s, ms", *(f"{pick(over):.1f}" for pick in (min, median, max))),
    ]
    table((f"{len(seconds)} deaths", "least", "median", "most"), rows)
    figure("over the confirm time, median", median(over), LIMIT, "ms")
    figure("over the confirm time, most", max(over), LIMIT, "ms")


def _write(directory: Path, port: int, members: int) -> Path:
    pool = "".join(_MEMBER.format(name=name, address=address) for name, address in _MEMBERS.items())
    return write_config(directory, _CONFIG.format(port=port, workers=2, members=members) + pool)


def _round(sinks: Sinks, port: int) -> list[float]:
    """Let members die, each at its next probe, and return; return the seconds until answers lacked each."""
    for address in _DYING:
        sinks.order("doom", address)
    gone = _watch(port, set(_DYING), published=False)
    died = {address: at for _, address, at in (sinks.hear() for _ in _DYING)}
    for address in _DYING:
        sinks.order("revive", address)
        sinks.hear()
    _watch(port, set(_DYING), published=True)
    return [gone[address] - died[address] for address in _DYING]


def _watch(port: int, addresses: set[str], *, published: bool) -> dict[str, float]:
    """Ask until answers hold all of the addresses, or none; return when each was first seen so."""
    seen: dict[str, float] = {}
    deadline = time.monotonic() + _MOST_SECONDS
    while seen.keys() != addresses:
        assert time.monotonic() < deadline, f"still waiting for {addresses - seen.keys()}"
        now = _addresses(port)
        at = time.monotonic()
        for address in addresses:
            if (address in now) is published:
                seen.setdefault(address, at)
        time.sleep(_PAUSE)
    return seen


def _addresses(port: int) -> set[str]:
    reply = dns.query.udp(dns.message.make_query(_NAME, "A"), "127.0.0.1", 2, port)
    return {str(rdata) for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A for rdata in rrset}
