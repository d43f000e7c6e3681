"""A probe of any host, without a daemon and without a configuration."""

import asyncio
import socket
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from dnslb.cli.probe.place import Place
from dnslb.pool.health import ProbeResult, Verdict
from dnslb.probe.recipe import Recipe, Target
from dnslb.probe.report_json import report_json
from dnslb.probe.smtp import probe
from dnslb.probe.transcript import Report
from dnslb.probe.verdict import EFFECTS

_NAMELESS = "an address has no name to examine it by (--host NAME gives one)"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class _NoAddress(Exception):  # noqa: N818 -- an answer of the resolver, and no fault of the program
    """A name has no address; the text says why."""


def examine(place: Place, recipe: Recipe, host: str, family: int | None) -> dict[str, Any]:
    """Probe all addresses of a place in all aspects; return the object of `dnslb probe --json`.

    `host` is the name for SNI and the certificate, "" for none. A name that does not resolve is verdict `unknown`.
    """
    try:
        addresses = (place.address,) if place.address else _addresses(place, recipe.timeout, family)
    except _NoAddress as error:
        return _unresolved(place, str(error))
    target = Target("", place.typed, addresses, recipe.port, recipe, host=host)
    return report_json(place.typed, asyncio.run(_examine(target)))


def _unresolved(place: Place, reason: str) -> dict[str, Any]:
    result = ProbeResult(Verdict.UNKNOWN, reason, EFFECTS[Verdict.UNKNOWN], None, 0.0, time.time())
    hint = "Check the name, and what this machine resolves names with."
    member = "" if "." in place.name else " A member of a pool is written POOL/MEMBER."
    return report_json(place.typed, Report(result)) | {"next": hint + member}


async def _examine(target: Target) -> Report:
    report = await probe(target, frozenset(target.recipe.intervals))
    if target.host or report.tls is None or report.tls.problem:
        return report
    return replace(report, tls=replace(report.tls, problem=_NAMELESS))


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
        raise _NoAddress(fault[0])
    return tuple(dict.fromkeys(found))


def _resolved(name: str, family: int | None) -> list[IPv4Address | IPv6Address]:
    records = socket.getaddrinfo(name, None, _FAMILIES.get(family or 0, socket.AF_UNSPEC), socket.SOCK_STREAM)
    return [ip_address(where[0]) for *_, where in records]
