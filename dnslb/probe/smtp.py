"""One probe of one member: a conversation with each of its addresses, and what they say together."""

import asyncio
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.conversation import converse
from dnslb.probe.recipe import Kind, Target
from dnslb.probe.tcp import connect, connect_failure, source_for
from dnslb.probe.verdict import Ending, Event, Judgement, Scene, Step, effect_of, judge


@dataclass(frozen=True, slots=True)
class Finding:
    """What one address showed. `latency` is seconds from the connect to the greeting's last line, None without one."""

    address: IPv4Address | IPv6Address
    ending: Ending
    latency: float | None = None


async def probe(target: Target) -> ProbeResult:
    """Talk to the member's addresses in order, one at a time; the first that fails decides.

    An address that this host has no route to says nothing as long as another one says something. `recipe.timeout`
    bounds each conversation. Network failures become verdicts; what is raised is a bug or a shortage of this process.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    findings: list[Finding] = []
    for address in target.addresses:
        findings.append(await _try(address, target))
        if _verdict(findings[-1], target).verdict is not Verdict.OK and not _is_ours(findings[-1]):
            break
    judgement = _verdict(_decisive(findings), target)
    latency = max((finding.latency for finding in findings if finding.latency is not None), default=None)
    return ProbeResult(
        verdict=judgement.verdict,
        reason=judgement.reason,
        effect=effect_of(judgement.verdict, target.recipe),
        latency_ms=None if latency is None else latency * 1000,
        duration_s=loop.time() - started,
        at=time.time(),
    )


def _is_ours(finding: Finding) -> bool:
    return finding.ending.event is Event.NO_ROUTE


def _decisive(findings: list[Finding]) -> Finding:
    """Return the last that says something of the member (all before it are well), else the first that says why not."""
    return next((finding for finding in reversed(findings) if not _is_ours(finding)), findings[0])


def _verdict(finding: Finding, target: Target) -> Judgement:
    return judge(finding.ending, Scene(where(finding.address, target.port), target.recipe.timeout))


def where(address: IPv4Address | IPv6Address, port: int) -> str:
    """Write an address and port as people do: 192.0.2.1:25, [2001:db8::1]:25."""
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"  # noqa: PLR2004 - IP's version is its name


async def _try(address: IPv4Address | IPv6Address, target: Target) -> Finding:
    """One conversation with one address, bounded as a whole by the recipe's timeout."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    deadline = started + target.recipe.timeout
    source = source_for(address, target.recipe.source)
    try:
        async with asyncio.timeout_at(deadline):
            sock = await connect(address, target.port, source)
    except OSError as error:
        return Finding(address, connect_failure(error, source))
    if target.recipe.kind is Kind.TCP:
        sock.close()
        return Finding(address, Ending(Event.CONNECTED, Step.CONNECT))
    ending, greeted_at = await converse(sock, target.recipe.ehlo, deadline)
    return Finding(address, ending, None if greeted_at is None else greeted_at - started)
