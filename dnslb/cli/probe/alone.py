"""A probe of any host, without a daemon and without a configuration."""

import asyncio
import socket
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from dnslb.cli.probe.place import Place
from dnslb.pool.health import Aspect, ProbeResult, Verdict
from dnslb.probe.conversation import where
from dnslb.probe.recipe import Recipe, Target, Verify
from dnslb.probe.smtp import probe
from dnslb.probe.transcript import Report, TlsFacts
from dnslb.probe.verdict import EFFECTS

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class _NoAddress(Exception):  # noqa: N818 -- an answer of the resolver, and no fault of the program
    """A name has no address; the text says why."""


def examine(place: Place, recipe: Recipe, host: str, family: int | None) -> Report:
    """Probe all addresses of a place in all aspects.

    `host` is the name for SNI and the certificate, "" for none. A name that does not resolve is verdict `unknown`.
    """
    try:
        addresses = (place.address,) if place.address else _addresses(place, recipe.timeout, family)
    except _NoAddress as error:
        return _unknown(str(error))
    target = Target("", place.typed, addresses, recipe.port, recipe, host=host)
    return asyncio.run(_examine(target))


async def _examine(target: Target) -> Report:
    report = await probe(target, frozenset(target.recipe.intervals))
    if report.tls is None or report.tls.trusted is not None or not target.host:
        return report
    return replace(report, tls=await _second_look(target, report.tls, report.exchanges[-1].where))


async def _second_look(target: Target, tls: TlsFacts, place: str) -> TlsFacts:
    """Return the facts with what policy did not ask for: whether chain and name are right.

    In a conversation of its own, as OpenSSL tells it only to those who end the handshake for it.
    """
    addresses = tuple(address for address in target.addresses if where(address, target.port) == place)
    recipe = replace(target.recipe, verify=Verify.NAME, rcpt_to="", auth=None, capabilities=())
    strict = replace(target, addresses=addresses, recipe=recipe)
    report = await probe(strict, frozenset({Aspect.SESSION, Aspect.TLS, Aspect.CERTIFICATE}))
    if report.tls is not None and report.tls.trusted is not None:
        return replace(tls, trusted=report.tls.trusted, problem=report.tls.problem)
    return (
        tls
        if report.result.verdict is not Verdict.TLS_INVALID
        else replace(tls, trusted=False, problem=report.result.reason)
    )


def _unknown(reason: str) -> Report:
    return Report(ProbeResult(Verdict.UNKNOWN, reason, EFFECTS[Verdict.UNKNOWN], None, 0.0, time.time()))


def _addresses(place: Place, timeout: float, family: int | None) -> tuple[IPv4Address | IPv6Address, ...]:
    """Ask the system for all addresses of a name, in its order.

    In a thread that nobody waits for longer than `timeout` seconds, and that Ctrl-C leaves behind: getaddrinfo itself
    cannot be stopped.
    """
    found: list[IPv4Address | IPv6Address] = []
    fault = [f"{place.name} does not resolve: no answer within {timeout:g} s"]

    def ask() -> None:
        try:
            found.extend(_resolved(place.name, family))
        except OSError as error:
            fault[:] = [f"{place.name} does not resolve: {error.strerror}"]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        raise _NoAddress(fault[0] + ("" if "." in place.name else " (a member of a pool is written POOL/MEMBER)"))
    return tuple(dict.fromkeys(found))


def _resolved(name: str, family: int | None) -> list[IPv4Address | IPv6Address]:
    records = socket.getaddrinfo(name, None, _FAMILIES.get(family or 0, socket.AF_UNSPEC), socket.SOCK_STREAM)
    return [ip_address(where[0]) for *_, where in records]
